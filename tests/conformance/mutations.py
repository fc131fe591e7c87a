"""For each check of the suite, answers that it must find wrong: area, name, what is changed, the mark, words of the reason."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.conformance.mutated import Json, Mutation, each, put, renumbered, says, without

NO, PART = "no", "part"
CREATE, READ, CHAT, MESSAGES, SOCKET = (
    "POST /responses$",
    "GET /responses/",
    "POST /chat/completions$",
    "POST /messages$",
    "SOCKET",
)
ERROR: Json = {"error": {"message": "no", "type": "invalid_request_error", "param": "", "code": ""}}
CALL: Json = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "get_weather",
    "arguments": "{}",
    "status": "completed",
}
TAKEN = "instead of an error"
DELTA = "response.output_text.delta"


class Row(NamedTuple):
    area: str
    name: str
    mutation: Mutation
    mark: str
    words: str


def taken(where: str, asks: str = "") -> Mutation:
    """A request that is to be refused is taken."""
    return Mutation(where, status=200, raw=b"{}", asks=asks)


def other_text(event: Json) -> Json:
    """Let a delta say something else."""
    return {**event, "delta": event["delta"] + "x"}


def _unordered(page: Json) -> Json:
    return {**page, "data": page["data"][::-1]}


def _only_last(page: Json) -> Json:
    return {**page, "data": page["data"][-1:]}


def _cut_page(page: Json) -> Json:
    return {**page, "has_more": False}


def _twice(answer: Json) -> Json:
    return {**answer, "output": answer["output"] * 2}


def _lines(answer: Any) -> Any:
    return answer


def _block_outside(events: list[Json]) -> list[Json]:
    return [event for event in events if event["type"] != "content_block_stop"]


ROWS: list[Row] = [
    Row("models", "list", Mutation("GET /models$", put(object="models")), NO, "list.object"),
    Row("models", "list", Mutation("GET /models$", put(data=[])), NO, "no model"),
    Row("models", "read", Mutation("GET /models/", put(id="other")), NO, "another model"),
    Row("models", "unknown model", taken("GET /models/no-such"), NO, TAKEN),
    Row("responses", "text", Mutation(CREATE, put(output=[])), NO, "says nothing"),
    Row("responses", "text", Mutation(CREATE, put(created_at=...)), NO, "created_at is missing"),
    Row("responses", "text", Mutation(CREATE, put(tools=...)), PART, "tools is missing"),
    Row("responses", "text", Mutation(CREATE, put(usage__total_tokens=1)), PART, "not the sum"),
    Row("responses", "messages", Mutation(CREATE, put(status="failed")), NO, "failed, not completed"),
    Row("responses", "echo", Mutation(CREATE, put(metadata={})), PART, "metadata"),
    Row("responses", "token limit", Mutation(CREATE, put(status="completed", usage__output_tokens=16)), NO, "cut off"),
    Row("responses", "token limit", Mutation(CREATE, put(incomplete_details=None)), NO, "reason"),
    Row("responses", "count tokens", Mutation("input_tokens", put(input_tokens=5)), NO, "no more tokens"),
    Row("responses", "compact", Mutation("compact", put(output=[])), NO, "no compaction"),
    Row("streaming", "text", Mutation(CREATE, events=each(DELTA, other_text)), NO, "deltas"),
    Row("streaming", "text", Mutation(CREATE, events=lambda events: [*events[:3], *events[4:]]), NO, "go up by one"),
    Row("streaming", "text", Mutation(CREATE, events=without("response.created")), NO, "first event"),
    Row("streaming", "text", Mutation(CREATE, events=without("response.completed")), NO, "terminal event"),
    Row(
        "streaming",
        "text",
        Mutation(CREATE, events=without("response.output_item.added")),
        NO,
        "outside of an open item",
    ),
    Row("streaming", "text", Mutation(CREATE, events=without("response.output_item.done")), NO, "never done"),
    Row("streaming", "text", Mutation(CREATE, events=without("response.content_part.done")), PART, "content_part.done"),
    Row("streaming", "text", Mutation(CREATE, events=without("response.in_progress")), PART, "in_progress"),
    Row(
        "streaming",
        "text",
        Mutation(CREATE, events=lambda events: [{**event, "name": "message"} for event in events]),
        PART,
        "name",
    ),
    Row(
        "streaming",
        "text",
        Mutation(CREATE, events=each("response.completed", put(response__output=[]))),
        NO,
        "items are streamed",
    ),
    Row(
        "streaming",
        "text",
        Mutation(CREATE, events=lambda events: renumbered([*events, events[-2]])),
        NO,
        "terminal event",
    ),
    Row(
        "streaming",
        "call",
        Mutation(CREATE, events=each("response.function_call_arguments.delta", other_text)),
        NO,
        "deltas",
    ),
    Row(
        "streaming",
        "token limit",
        Mutation(CREATE, events=each("response.incomplete", put(type="response.completed"))),
        NO,
        "status is",
    ),
    Row(
        "streaming",
        "same as whole",
        Mutation(CREATE, events=each("response.completed", put(response__store=...))),
        PART,
        "store",
    ),
    Row("tools", "forced call", Mutation(CREATE, put(output__0__name="other")), NO, "it called other"),
    Row("tools", "forced call", Mutation(CREATE, put(output__0__arguments="{")), NO, "no JSON"),
    Row("tools", "required call", Mutation(CREATE, put(output=[])), NO, "no function"),
    Row("tools", "no call", Mutation(CREATE, put(output=[CALL])), NO, "called a function"),
    Row("tools", "allowed tools", Mutation(CREATE, put(output__0__name="get_time")), NO, "it called get_time"),
    Row("tools", "output", Mutation(CREATE, put(output=[]), asks="function_call_output"), NO, "says nothing"),
    Row("tools", "output by id", Mutation(CREATE, put(output=[]), asks="function_call_output"), NO, "says nothing"),
    Row("tools", "output without a call", taken(CREATE), NO, TAKEN),
    Row("tools", "one at a time", Mutation(CREATE, _twice), NO, "2 calls"),
    Row("tools", "custom tool", Mutation(CREATE, put(output__0__name="other")), NO, "it called other"),
    Row("tools", "required without tools", taken(CREATE), NO, TAKEN),
    Row("structured output", "JSON Schema", Mutation(CREATE, says('{"name": "Ada"}')), NO, "follow the schema"),
    Row(
        "structured output",
        "JSON Schema, streamed",
        Mutation(
            CREATE,
            events=lambda events: [*events[:-1], {**events[-1], "response": {**events[-1]["response"], "output": []}}],
        ),
        NO,
        "items",
    ),
    Row("structured output", "JSON object", Mutation(CREATE, says("[1]")), NO, "no JSON object"),
    Row("structured output", "bad schema", taken(CREATE), NO, TAKEN),
    Row("errors", "no JSON", Mutation(CREATE, lambda _: {"detail": "no"}), NO, "no error object"),
    Row("errors", "wrong type", Mutation(CREATE, put(error__param="")), PART, "does not name the field"),
    Row("errors", "wrong type", Mutation(CREATE, status=500), NO, "500 for a client's error"),
    Row("errors", "wrong item", taken(CREATE), NO, TAKEN),
    Row("errors", "unknown model", Mutation(CREATE, put(error__code="", error__message="no")), PART, "does not say"),
    Row("errors", "refused stream", taken(CREATE), NO, TAKEN),
    Row("errors", "unknown response", taken(READ), NO, TAKEN),
    Row("errors", "unknown path", Mutation("such/path", lambda _: {"detail": "Not Found"}), NO, "no error object"),
    Row("state", "stored", Mutation(READ, says("other")), NO, "something else"),
    Row("state", "stored", Mutation(READ, put(metadata={"a": "b"})), PART, "metadata"),
    Row("state", "not stored", taken(READ), NO, TAKEN),
    Row("state", "deleted", taken(READ), NO, TAKEN),
    Row("state", "continued", Mutation(CREATE, put(usage__input_tokens=7, usage__total_tokens=9)), NO, "history"),
    Row("state", "continued", Mutation(CREATE, put(previous_response_id=None)), NO, "previous_response_id"),
    Row("state", "unknown previous", Mutation(CREATE, put(error__code="")), PART, "error.code"),
    Row("state", "unknown previous", taken(CREATE), NO, TAKEN),
    Row("state", "input items", Mutation("input_items", _unordered), NO, "in order"),
    Row("state", "input items", Mutation("input_items", _only_last), NO, "1 items"),
    Row("state", "paging", Mutation("input_items.limit", _cut_page), NO, "on all pages"),
    Row("state", "paging", Mutation("order=asc", _unordered), NO, "turned round"),
    Row("state", "history of items", Mutation("input_items", _only_last), PART, "history is missing"),
    Row("conversations", "life", Mutation("POST /conversations/", put(metadata={})), NO, "not changed"),
    Row("conversations", "items", Mutation("GET .*/items.order", _only_last), NO, "added"),
    Row("conversations", "responses", Mutation("GET .*/items.order", _only_last), NO, "messages of"),
    Row("conversations", "unknown", taken(CREATE), NO, TAKEN),
    Row("background", "polled", Mutation(CREATE, put(status="completed")), NO, "not in background"),
    Row("background", "polled", Mutation(READ, put(status="failed")), NO, "failed, not completed"),
    Row(
        "background",
        "resumed",
        Mutation("GET .*starting_after", events=lambda events: events[1:]),
        NO,
        "starting_after",
    ),
    Row("background", "resumed", Mutation("GET .*starting_after", events=each(DELTA, other_text)), NO, "deltas"),
    Row("background", "cancelled", Mutation(READ, put(status="completed")), NO, "after it was cancelled"),
    Row("background", "cancel in foreground", taken("cancel"), NO, TAKEN),
    Row("websocket", "text", Mutation(SOCKET, lambda event: {**event, "sequence_number": 0}), NO, "go up by one"),
    Row(
        "websocket",
        "several",
        Mutation(SOCKET, lambda event: {**event, "type": "error", "error": {"message": "no"}}),
        NO,
        "an error",
    ),
    Row(
        "websocket",
        "continued",
        Mutation(
            SOCKET, lambda event: put(response__previous_response_id=None)(event) if "response" in event else event
        ),
        NO,
        "previous_response_id",
    ),
    Row(
        "websocket",
        "not on another",
        Mutation(SOCKET, lambda event: {**event, "type": "response.completed"}, asks="previous_response_id"),
        NO,
        TAKEN,
    ),
    Row(
        "websocket",
        "evicted",
        Mutation(SOCKET, lambda event: {**event, "type": "response.completed"}, asks="What is my name?"),
        NO,
        TAKEN,
    ),
    Row(
        "websocket",
        "evicted",
        Mutation(SOCKET, put(error={"message": "no"}), asks="What is my name?"),
        PART,
        "error.code",
    ),
    Row(
        "websocket",
        "error",
        Mutation(SOCKET, lambda event: {**event, "error": None}, asks="no_such_item"),
        NO,
        "says nothing",
    ),
    Row("chat completions", "text", Mutation(CHAT, put(choices__0__message__content="")), NO, "says nothing"),
    Row("chat completions", "text", Mutation(CHAT, put(choices__0__finish_reason="length")), NO, "not stop"),
    Row(
        "chat completions",
        "stream",
        Mutation(CHAT, events=lambda events: [event for event in events if event["choices"]]),
        NO,
        "usage",
    ),
    Row(
        "chat completions",
        "stream",
        Mutation(
            CHAT,
            events=lambda events: [
                event for event in events if not (event["choices"] and event["choices"][0]["finish_reason"])
            ],
        ),
        NO,
        "finish_reason",
    ),
    Row(
        "chat completions",
        "token limit",
        Mutation(CHAT, put(choices__0__finish_reason="stop")),
        NO,
        "another finish_reason",
    ),
    Row("chat completions", "forced call", Mutation(CHAT, put(choices__0__message__tool_calls=[])), NO, "no function"),
    Row(
        "chat completions",
        "forced call, streamed",
        Mutation(
            CHAT,
            events=lambda events: [put(choices__0__delta={})(event) if event["choices"] else event for event in events],
        ),
        NO,
        "no function",
    ),
    Row(
        "chat completions",
        "JSON Schema",
        Mutation(CHAT, put(choices__0__message__content="no")),
        NO,
        "follow the schema",
    ),
    Row("chat completions", "bad request", taken(CHAT), NO, TAKEN),
    Row("chat completions", "stored", Mutation("GET .*/messages", put(data=[])), NO, "messages are not there"),
    Row("messages", "text", Mutation(MESSAGES, put(content=[])), NO, "says nothing"),
    Row("messages", "text", Mutation(MESSAGES, put(stop_reason="max_tokens")), NO, "not end_turn"),
    Row("messages", "stream", Mutation(MESSAGES, events=_block_outside), NO, "message_stop|does not stop"),
    Row("messages", "stream", Mutation(MESSAGES, events=without("message_stop")), NO, "last events"),
    Row("messages", "forced call", Mutation(MESSAGES, put(stop_reason="end_turn")), NO, "not tool_use"),
    Row("messages", "forced call, streamed", Mutation(MESSAGES, events=without("content_block_start")), NO, "no tool"),
    Row("messages", "count tokens", Mutation("count_tokens", put(input_tokens=3)), NO, "no more tokens"),
    Row("messages", "error", Mutation(MESSAGES, status=200), NO, "instead of a 400"),
    Row("embeddings", "vectors", Mutation("embeddings", put(data__1__embedding=[1.0])), NO, "one length"),
    Row("embeddings", "vectors", Mutation("embeddings", put(data=[])), NO, "for each text"),
    Row("embeddings", "base64", Mutation("embeddings", put(data__0__embedding="AAAA"), asks="base64"), NO, "the bytes"),
    Row("embeddings", "bad request", taken("embeddings", '"a":1'), NO, TAKEN),
    Row("moderations", "verdicts", Mutation("moderations", put(results=[])), NO, "0 verdicts"),
    Row("moderations", "verdicts", Mutation("moderations", put(results__0__category_scores={})), NO, "a score"),
    Row("files", "life", Mutation("GET /files/.*/content", raw=b"other"), NO, "content is not"),
    Row("files", "unknown", taken("GET /files/file-0"), NO, TAKEN),
    Row("batches", "responses", Mutation("GET /batches/", put(status="failed")), NO, "failed, not completed"),
    Row(
        "batches",
        "responses",
        Mutation("GET /files/.*/content", raw=b'{"custom_id": "line-0"}\n'),
        NO,
        "one line for each",
    ),
    Row(
        "batches",
        "chat completions",
        Mutation("GET /batches/", put(output_file_id=None)),
        NO,
        "output file|output_file_id",
    ),
    Row("batches", "cancelled", Mutation("GET /batches/", put(status="failed")), NO, "not cancelled"),
    Row("batches", "unknown file", taken("POST /batches"), NO, TAKEN),
    Row("vector stores", "search", Mutation("search$", put(data__0__file_id="other")), NO, "another file"),
    Row(
        "vector stores",
        "search",
        Mutation("POST /vector_stores/.*/files", put(status="failed")),
        NO,
        "failed, not completed",
    ),
    Row("vector stores", "life", Mutation("POST /vector_stores/vs_[^/]*$", put(name="notes")), NO, "not changed"),
    Row("vector stores", "file_search", Mutation(CREATE, put(output=[])), NO, "no file_search_call"),
]
