"""A backend for the scenarios: `python -m tests.clients.upstream [PORT]`. Chats are its own, other routes EveryRoute's."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from itertools import count, pairwise
from typing import Any

from tests.clients.capable import answer
from tests.clients.chat import Ask, Call, Json, Reply, read, tokens
from tests.clients.play import play
from tests.clients.strict import fault
from tests.server.relays.every_route import EveryRoute

MODELS = {"played": 131072, "gpt-played": 131072, "capable": 131072, "thinking": 131072, "narrow": 40_000}
"""Models, each with its window in tokens; `narrow` alone keeps to it."""
THINKERS: dict[str, Callable[[Ask], Reply]] = {"capable": answer, "thinking": answer}
"""What answers for a model; `play` for others."""
_numbers = count()


class Upstream(EveryRoute):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # noqa: N802
        """List the models; tell how much of prompts with a mark was kept: `/v1/kept/MARK`."""
        if "/kept/" in self.path:
            return self._json(200, {"kept": _kept(self.path.rpartition("/")[2])})
        models = [
            {"id": id, "object": "model", "created": 1, "owned_by": "tests", "max_model_len": window}
            for id, window in MODELS.items()
        ]
        return self._json(200, {"object": "list", "data": models})

    def do_POST(self) -> None:  # noqa: N802
        """Answer a chat, or a request to another route."""
        if "/chat/" not in self.path:
            return super().do_POST()
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        wrong = fault(body) or _overflow(body)
        if wrong:
            return self._json(400, {"error": {"message": wrong, "type": "invalid_request_error"}})
        ask = read(body)
        think = THINKERS.get(body["model"], play)
        replies = [think(ask) for _ in range(body.get("n") or 1)]
        error = replies[0].error
        if error is not None:
            return self._json(
                error["status"], {"error": {"type": "server_error", "param": None, "code": None, **error}}
            )
        for reply in replies:
            _limit(reply, body)
        return self._stream(ask, replies) if body.get("stream") else self._whole(ask, replies)

    def _json(self, status: int, value: Json) -> None:
        body = json.dumps(value).encode()
        self._head(status, "application/json", ("content-length", str(len(body))))
        self.wfile.write(body)

    def _head(self, status: int, type: str, length: tuple[str, str]) -> None:
        self.send_response(status)
        self.send_header("content-type", type)
        self.send_header(*length)
        self.end_headers()

    def _whole(self, ask: Ask, replies: list[Reply]) -> None:
        time.sleep(sum(reply.pace * len(reply.say) / reply.piece for reply in replies))
        choices = [
            {
                "index": n,
                "message": _message(reply),
                "finish_reason": reply.finish_reason,
                "logprobs": _logprobs(ask, reply.say, reply.piece),
            }
            for n, reply in enumerate(replies)
        ]
        self._json(200, {**_envelope(ask, "chat.completion"), "choices": choices, "usage": _usage(ask, replies)})

    def _stream(self, ask: Ask, replies: list[Reply]) -> None:
        self._head(200, "text/event-stream", ("transfer-encoding", "chunked"))
        envelope = _envelope(ask, "chat.completion.chunk")
        for index, reply in enumerate(replies):
            for place, (delta, finish) in enumerate(_deltas(reply)):
                if place == reply.cut:
                    self.close_connection = True
                    return
                logprobs = _logprobs(ask, delta.get("content") or "", reply.piece)
                choice = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
                self._event(json.dumps({**envelope, "choices": [choice]}))
                time.sleep(reply.pace)
        if (ask.body.get("stream_options") or {}).get("include_usage"):
            self._event(json.dumps({**envelope, "choices": [], "usage": _usage(ask, replies)}))
        self._event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, data: str) -> None:
        event = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
        self.wfile.flush()


def _overflow(body: Json) -> str:
    """Return vLLM's words where a prompt has more tokens than the window of its model."""
    window, asked = MODELS["narrow"], tokens(_prompt(body))
    if body["model"] != "narrow" or asked <= window:
        return ""
    return f"This model's maximum context length is {window} tokens. However, your request has {asked} input tokens."


def _prompt(body: Json) -> str:
    """Return all that a model reads, in the order of most templates."""
    return json.dumps([body.get("tools"), body["messages"]])


def _limit(reply: Reply, body: Json) -> None:
    """Cut a reply at stop strings, and where its tokens are spent; thinking spends them first."""
    stops = body.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        reply.say = reply.say.split(stop)[0]
    room = body.get("max_completion_tokens") or body.get("max_tokens")
    if room and tokens(reply.text) > room and not reply.calls:
        reply.finish = "length"
        reply.think, rest = reply.think[: room * 4], max(0, room * 4 - len(reply.think))
        reply.say = reply.say[:rest]


def _envelope(ask: Ask, object: str) -> Json:
    return {
        "id": f"chatcmpl-{next(_numbers)}",
        "object": object,
        "created": int(time.time()),
        "model": ask.body["model"],
    }


def _usage(ask: Ask, replies: list[Reply]) -> Json:
    prompt = _prompt(ask.body)
    given = replies[0].usage or (tokens(prompt), sum(tokens(reply.text) for reply in replies))
    return {
        "prompt_tokens": given[0],
        "completion_tokens": given[1],
        "total_tokens": given[0] + given[1],
        "prompt_tokens_details": {"cached_tokens": _cached(prompt, given[0])},
        "completion_tokens_details": {"reasoning_tokens": sum(tokens(reply.think) for reply in replies)},
    }


_prompts: list[str] = []
_MARK = "MARK-"
_marked: list[str] = []


def _cached(prompt: str, most: int) -> int:
    """Count the tokens of the longest beginning that an earlier prompt had, as a prefix cache would: never all of them."""
    shared = max((_common(prompt, earlier) for earlier in _prompts), default=0)
    _prompts.append(prompt)
    if _MARK in prompt:
        _marked.append(prompt)
    del _prompts[:-50]
    return min(most - 1, shared // 4)


def _common(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low


def _kept(mark: str) -> list[float]:
    """Return, for each prompt with this mark but the last, how much of it the next one with the mark begins with."""
    marked = [prompt for prompt in _marked if mark in prompt]
    return [_common(one, other) / len(one) for one, other in pairwise(marked)]


def _logprobs(ask: Ask, text: str, size: int) -> Json | None:
    if not ask.body.get("logprobs") or not text:
        return None
    rivals = ["A", "B", "C", "D", "E"][: ask.body.get("top_logprobs") or 0]
    top = [{"token": rival, "logprob": -3.0 - n, "bytes": [*rival.encode()]} for n, rival in enumerate(rivals[1:])]
    return {"content": [_logprob(piece, top if rivals else None) for piece in _pieces(text, size)]}


def _logprob(token: str, rivals: list[Json] | None) -> Json:
    own = {"token": token, "logprob": -0.1, "bytes": [*token.encode()]}
    return {**own, "top_logprobs": [] if rivals is None else [own, *rivals]}


def _message(reply: Reply) -> Json:
    message: Json = {"role": "assistant", "content": reply.say or (None if reply.calls else "")}
    if reply.think:
        message["reasoning_content"] = reply.think
    if reply.refuse:
        message["refusal"] = reply.refuse
    if reply.calls:
        message["tool_calls"] = [
            {"id": _call_id(), "type": call.tool.kind, call.tool.kind: _called(call, call.text)} for call in reply.calls
        ]
    return message


def _call_id() -> str:
    return f"call_{next(_numbers):08d}"


def _called(call: Call, text: str) -> Json:
    return {"name": call.tool.name, _text_key(call): text}


def _text_key(call: Call) -> str:
    return "input" if call.tool.kind == "custom" else "arguments"


def _deltas(reply: Reply) -> Iterator[tuple[Json, str | None]]:
    """Yield the deltas of a reply in the order in which real servers send them."""
    yield {"role": "assistant", "content": ""}, None
    for key, text in (("reasoning_content", reply.think), ("refusal", reply.refuse), ("content", reply.say)):
        for piece in _pieces(text, reply.piece):
            yield {key: piece}, None
    for index, call in enumerate(reply.calls):
        kind = call.tool.kind
        yield {"tool_calls": [{"index": index, "id": _call_id(), "type": kind, kind: _called(call, "")}]}, None
        for piece in _pieces(call.text, reply.piece):
            yield {"tool_calls": [{"index": index, kind: {_text_key(call): piece}}]}, None
    yield {}, reply.finish_reason


def _pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


class Server(ThreadingHTTPServer):
    """A thread for each connection; those that break off are no news."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of errors, but not of clients that have gone."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def serve(port: int) -> None:
    """Serve until the process ends; port 0 takes any free one. Prints the URL."""
    server = Server(("127.0.0.1", port), Upstream)
    print(f"http://127.0.0.1:{server.server_port}/v1", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
