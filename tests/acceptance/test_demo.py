"""`antiphon serve` with nothing configured: the demo model, in the embedded engine, through a real socket."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.acceptance.command import Command, serving
from tests.bounds import bound

pytestmark = pytest.mark.slow

MODEL = "antiphon-demo"
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
EVENT = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "date": {"type": "string"},
        "participants": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["name", "date", "participants"],
    "additionalProperties": False,
}
TOWN = (
    "# Town\n\nThe library opens at 9:30. The library is in the park. The museum opens at 11:15.\n"
    "The manager of the museum is Rosa. The museum is yellow.\n"
)
ASKED = {
    "When does the library open?": "9:30",
    "When does the museum open?": "11:15",
    "Where is the library?": "park",
    "Who is the manager of the museum?": "Rosa",
    "What color is the museum?": "yellow",
}


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    folder = tmp_path_factory.mktemp("server")
    with serving(folder, "--store", str(folder / "antiphon.db")) as running:
        yield running


@pytest.fixture(scope="module")
def client(command: Command) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{command.url}/v1", api_key="none", max_retries=3) as client:
        yield client


def test_questions_that_the_demo_model_cannot_answer_are_refusals(client: OpenAI) -> None:
    question: Any = {"type": "predicate", "name": "rain", "instructions": "It rains."}
    decision = client.decisions.create(model=MODEL, input="The sun shines.", questions=[question])
    assert [(answer.type, answer.name) for answer in decision.answers] == [("refusal", "rain")]
    assert decision.usage.input_tokens > 20


def test_hello_in_five_words_streamed_and_not(client: OpenAI) -> None:
    asked = {"model": MODEL, "input": "Say hello in five words.", "temperature": 0, "max_output_tokens": 60}
    whole = client.responses.create(**asked)
    assert len(whole.output_text.split()) == 5
    with client.responses.stream(**asked) as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        assert stream.get_final_response().output_text == "".join(pieces) == whole.output_text
    assert len(pieces) > 1


def test_usage_counts_what_the_models_own_tokenizer_counts(client: OpenAI) -> None:
    asked = {"model": MODEL, "input": "Say hello in five words."}
    usage = client.responses.create(**asked, temperature=0).usage
    assert usage is not None
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert 5 <= usage.output_tokens <= 12
    assert client.responses.input_tokens.count(**asked).input_tokens == usage.input_tokens


def test_it_remembers_by_previous_response_id(client: OpenAI) -> None:
    first = client.responses.create(model=MODEL, input="My name is Ada.", temperature=0)
    again = client.responses.create(
        model=MODEL, input="What is my name?", previous_response_id=first.id, temperature=0, max_output_tokens=40
    )
    assert "Ada" in again.output_text


def test_it_calls_a_function_and_reads_its_result(client: OpenAI) -> None:
    asked = {"model": MODEL, "tools": [WEATHER], "temperature": 0, "max_output_tokens": 80}
    called = client.responses.create(**asked, input="What is the weather in Paris?")
    call = next(item for item in called.output if item.type == "function_call")
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Paris"})
    result = {
        "type": "function_call_output",
        "call_id": call.call_id,
        "output": '{"temperature": 18, "condition": "sunny"}',
    }
    answer = client.responses.create(**asked, previous_response_id=called.id, input=[result])
    assert "18" in answer.output_text


def test_it_answers_from_an_uploaded_text_and_cites_it(client: OpenAI) -> None:
    file = client.files.create(file=("town.md", TOWN.encode()), purpose="assistants")
    store = client.vector_stores.create(name="Town")
    added = client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id)
    assert added.status == "completed", added.last_error
    tools: Any = [{"type": "file_search", "vector_store_ids": [store.id]}]
    for question, fact in ASKED.items():
        asked = {"model": MODEL, "input": question, "tools": tools, "temperature": 0, "max_output_tokens": 80}
        whole = client.responses.create(**asked)
        with client.responses.stream(**asked) as stream:
            annotated = [event for event in stream if event.type == "response.output_text.annotation.added"]
            streamed = stream.get_final_response()
        assert len(annotated) == 1
        for answer in (whole, streamed):
            search, message = answer.output
            assert (search.type, search.status, search.queries) == ("file_search_call", "completed", [question])
            text, cited = message.content[0].text, message.content[0].annotations
            assert fact in text and "【" not in text
            assert [(one.type, one.file_id, one.filename) for one in cited] == [("file_citation", file.id, "town.md")]
            assert cited[0].index == len(text)


def test_a_schema_holds(client: OpenAI) -> None:
    answer = client.responses.create(
        model=MODEL,
        instructions="Extract the event information.",
        input="Alice and Bob are going to a science fair on Friday.",
        text={"format": {"type": "json_schema", "name": "event", "schema": EVENT, "strict": True}},
        temperature=0,
        max_output_tokens=120,
    )
    assert sorted(json.loads(answer.output_text)) == ["date", "name", "participants"]


def test_it_thinks_when_asked_to(client: OpenAI) -> None:
    answer = client.responses.create(
        model=MODEL, input="What is 17 + 25?", reasoning={"effort": "medium"}, temperature=0, max_output_tokens=200
    )
    assert [item.type for item in answer.output] == ["reasoning", "message"]
    assert answer.output[0].content[0].text
    assert "think" not in answer.output_text


def test_a_limit_of_one_token_is_an_incomplete_answer(client: OpenAI) -> None:
    cut = client.responses.create(model=MODEL, input="Count from 1 to 20.", max_output_tokens=1)
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_a_killed_engine_fails_its_stream_and_the_next_request_works(command: Command, client: OpenAI) -> None:
    asked = {"model": MODEL, "temperature": 1.5, "stream": True, "input": "Tell me a long story about a robot."}
    for _ in range(5):  # the model may be faster than the signal
        events = kill_in_the_middle(command, json.dumps(asked).encode())
        answer = client.responses.create(model=MODEL, input="What is 2 + 2?", temperature=0, max_output_tokens=30)
        assert "4" in answer.output_text
        if events[-1] == "response.failed":
            break
    assert events[-2:] == ["error", "response.failed"]


def kill_in_the_middle(command: Command, body: bytes) -> list[str]:
    """Stream, kill the engine at the second piece of text, and return the types of all events; `[DONE]` must end them."""
    kinds: list[str] = []
    lines: list[bytes] = []
    with urllib.request.urlopen(urllib.request.Request(f"{command.url}/v1/responses", body), timeout=30) as reply:
        for line in reply:
            if line.startswith(b"event: "):
                kinds.append(line[7:].decode().strip())
                if kinds.count("response.output_text.delta") == 2 and kinds[-1] == "response.output_text.delta":
                    os.kill(engine_of(command.process.pid), signal.SIGKILL)
            elif line.startswith(b"data: "):
                lines.append(line.strip())
    assert lines[-1] == b"data: [DONE]"
    return kinds


def engine_of(server: int) -> int:
    """Return the process of the engine, a child of the server."""
    deadline = time.monotonic() + bound(5)
    while time.monotonic() < deadline:
        found = subprocess.run(["pgrep", "-P", str(server), "-f", "llama[.]child"], capture_output=True, text=True)
        if found.stdout.split():
            return int(found.stdout.split()[0])
    raise AssertionError("the engine does not run")


def test_the_engine_ends_with_the_server(tmp_path: Path) -> None:
    with serving(tmp_path, "--store", "memory") as running:
        with OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=3) as client:
            client.responses.create(model=MODEL, input="Hello", max_output_tokens=5)
        engine = engine_of(running.process.pid)
        running.process.kill()
        running.process.wait()
        deadline = time.monotonic() + bound(3)
        while Path(f"/proc/{engine}").exists() and "llama.child" in Path(f"/proc/{engine}/cmdline").read_text():
            assert time.monotonic() < deadline, "the engine outlives its server"
            time.sleep(0.05)
