"""What a call of an MCP server's tool gave, as the client and as the model see it: in every mode, and in the turns after it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest

from antiphon.config import ModelConfig
from tests.server.remote_tools.model import Model as Echoing
from tests.server.whole import Client, upstream, whole_server
from tests.tools.mcp.hostile_kinds import Exchange
from tests.tools.mcp.scripted import scripted

pytestmark = [pytest.mark.slow, pytest.mark.needs("mcp")]

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40).decode()
IMAGE = {"type": "image", "data": PNG, "mimeType": "image/png"}
RESULT = {"content": [{"type": "text", "text": "a page"}, IMAGE], "structuredContent": {"page": 1}}
CALL = "tick {}"


class Model(Echoing):
    """Calls the tool once, and is pleased with what it gives."""

    asked: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:  # noqa: N802  # a name of the standard library
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(request)
        function = {"name": request["tools"][0]["function"]["name"], "arguments": "{}"} if "tools" in request else {}
        called = any(message["role"] == "tool" for message in request["messages"])
        calls = {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}
        choice = {"index": 0, "delta": {"content": "good"} if called else calls, "finish_reason": "stop"}
        self._send(b"data: %b\n\ndata: [DONE]\n\n" % json.dumps({"choices": [choice]}).encode(), "text/event-stream")


@contextmanager
def served(result: dict[str, Any], **model: Any) -> Iterator[tuple[Client, dict[str, Any]]]:
    """Run a server, and an MCP server whose tool gives this; the model knows that of itself."""

    def answer(exchange: Exchange) -> bool:
        if exchange.method == "tools/call":
            exchange.result(result)
        return exchange.method == "tools/call"

    models = {"m": ModelConfig(backends=["upstream"], **model)}
    with (
        upstream(Model) as url,
        scripted(answer) as tools,
        whole_server(url, url_guard_allow=["127.0.0.0/8"], models=models) as client,
    ):
        Model.asked.clear()
        yield client, {"type": "mcp", "server_label": "x", "server_url": tools.url, "require_approval": "never"}


def seen() -> list[tuple[str, Any]]:
    """Return role and content of the messages behind the first call that the model was told of last."""
    messages = Model.asked[-1]["messages"]
    first = next(index for index, message in enumerate(messages) if message.get("tool_calls"))
    return [(message["role"], message["content"]) for message in messages[first + 1 :]]


def check_pictures() -> None:
    (tool, told), (user, media), *_ = seen()
    assert (tool, user) == ("tool", "user")
    assert told == 'a page\n{"page":1}'
    assert [part["image_url"]["url"] for part in media if part["type"] == "image_url"] == [
        f"data:image/png;base64,{PNG}"
    ]
    assert PNG not in json.dumps([part for part in media if part["type"] != "image_url"])


@pytest.mark.parametrize("mode", [{}, {"stream": True}, {"background": True}])
def test_a_picture_is_one_in_every_mode(mode: dict[str, Any]) -> None:
    with served(RESULT) as (client, tool):
        _, made = client.post("/v1/responses", model="m", input=CALL, tools=[tool], **mode)
        if mode.get("stream"):
            made = made[-1]["response"]
        if mode.get("background"):
            made = client.finished(made["id"])
        check_pictures()
        call = made["output"][1]
        assert (call["type"], call["status"], call["error"]) == ("mcp_call", "completed", None)
        assert call["output"].split("\n") == ["a page", json.dumps(IMAGE, separators=(",", ":")), '{"page":1}']


@pytest.mark.parametrize("stored", [True, False])
def test_it_is_one_in_later_turns(stored: bool) -> None:
    with served(RESULT) as (client, tool):
        made = client.create(model="m", input=CALL, tools=[tool], store=stored)
        again = [{"role": "user", "content": "and?"}]
        if stored:
            client.create(model="m", input=again, tools=[tool], previous_response_id=made["id"])
        else:
            client.create(model="m", input=[{"role": "user", "content": CALL}, *made["output"], *again], store=False)
        check_pictures()


def test_a_model_without_eyes_gets_a_note() -> None:
    with served(RESULT, images=False) as (client, tool):
        made = client.create(model="m", input=CALL, tools=[tool])
        ((_, told),) = seen()
        assert told.startswith("a page\n[An image, ")
        assert PNG not in json.dumps(Model.asked[-1]["messages"])
        assert PNG in made["output"][1]["output"]


def test_a_failed_call_may_show_one_too() -> None:
    with served({**RESULT, "isError": True}) as (client, tool):
        made = client.create(model="m", input=CALL, tools=[tool])
        (_, told), (_, media) = seen()
        assert told == 'Error: a page\n{"page":1}'
        assert media[-1]["type"] == "image_url"
        assert made["output"][1]["status"] == "failed"


@pytest.mark.parametrize("content", [[], None, [{"type": "text", "text": ""}]])
def test_a_failure_without_a_reason_is_one_for_the_model_too(content: Any) -> None:
    with served({"content": content, "isError": True}) as (client, tool):
        made = client.create(model="m", input=CALL, tools=[tool])
        assert seen() == [("tool", "Error: The tool failed and gave no reason.")]
        assert made["output"][1]["status"] == "failed"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("plain", "plain"),
        ([{"text": "untyped"}], "untyped"),
        ([{"type": "text", "text": 42}], "42"),
        (["one", "two"], "one\ntwo"),
        ([{"type": "text", "text": None}, {"type": "text", "text": "after"}], "\nafter"),
    ],
)
def test_texts_that_are_spelt_oddly_are_texts(content: Any, told: str) -> None:
    with served({"content": content}) as (client, tool):
        made = client.create(model="m", input=CALL, tools=[tool])
        assert seen() == [("tool", told)]
        assert (made["output"][1]["status"], made["output"][1]["output"]) == ("completed", told)
