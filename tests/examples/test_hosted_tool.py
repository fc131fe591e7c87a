"""examples/hosted_tool.py over a real socket: its calls, its refusals, and what `create_app` does not take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import httpx2
import msgspec
import pytest
from examples.hosted_tool import HANDBOOK, PAGES, Handbook

from antiphon import BackendConfig, Config, ConfigError, create_app, hosted_kind
from tests.server.chat_model import ChatModel, Json, call
from tests.server.serving import MODES, serving
from tests.server.whole import upstream

TOOL = {"type": "handbook", "language": "en"}


class Model(ChatModel):
    """Searches for the question, then says what it was told."""

    told: ClassVar[list[str]] = []

    def deltas(self, request: Json) -> list[Json]:
        last = request["messages"][-1]
        if last["role"] == "tool":
            self.told.append(last["content"])
            return [{"content": "You have 30."}]
        return [{"tool_calls": [call("handbook", json.dumps({"query": last["content"]}), "c1")]}]


@contextmanager
def example(mode: str) -> Iterator[str]:
    """Serve the example's tool in front of the model; gives the base URL."""
    with upstream(Model) as backend:
        config = Config(store="memory", backends={"gpu": BackendConfig(url=backend)})
        with serving(create_app(config, hosted_tools=[Handbook(PAGES)]), mode=mode) as served:
            yield f"{served.url}/v1/responses"


@pytest.mark.parametrize("mode", MODES)
def test_the_tool_is_called_streamed_and_not(mode: str) -> None:
    body = {"model": "m", "input": "Leave?", "tools": [TOOL]}
    with example(mode) as url:
        Model.told.clear()
        whole = httpx2.post(url, json=body).json()
        answer = httpx2.post(url, json={**body, "stream": True})
        events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
        again = {"model": "m", "input": "Leave?", "tools": [TOOL], "previous_response_id": whole["id"]}
        chained = httpx2.post(url, json=again).json()
    assert Model.told == [PAGES["en"]["leave"]] * 3
    for response in (whole, events[-1]["response"], chained):
        call, message = response["output"]
        assert call.pop("id").startswith("hb_")
        assert call == {"type": "handbook_call", "status": "completed", "query": "Leave?", "pages": 1}
        assert message["content"][0]["text"] == "You have 30."
        assert response["tools"] == [TOOL]
        assert "30 days" not in json.dumps(response)
    stages = [event["type"] for event in events if "handbook_call." in event["type"]]
    assert stages == [f"response.handbook_call.{stage}" for stage in ("in_progress", "searching", "completed")]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_declaration_that_it_refuses_is_a_400(streamed: bool) -> None:
    tools = [TOOL, {"type": "handbook", "language": "la"}]
    with example("direct") as url:
        answer = httpx2.post(url, json={"model": "m", "input": "Leave?", "tools": tools, "stream": streamed})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], error["message"]) == ("tools[1].language", "Unknown language 'la'. Known: en, de.")


class Other:
    """A tool of any kind."""

    bounds = Handbook.bounds
    admit = Handbook.admit

    def __init__(self, kind: Any) -> None:
        self.kind = kind


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ([HANDBOOK, HANDBOOK], "two are of the kind 'handbook'"),
        ([hosted_kind("handbook", prefix="x", opening={}, arguments=[])], "'handbook', or a type .* is there already"),
        ([hosted_kind("function", prefix="x", opening={}, arguments=[])], "'function', or a type .* is there already"),
        ([msgspec.structs.replace(HANDBOOK, runs="client")], "the kind 'handbook' is not one of a hosted tool"),
        ([msgspec.structs.replace(HANDBOOK, serve=None)], "the kind 'handbook' is not one of a hosted tool"),
    ],
)
def test_tools_that_cannot_be_served_are_refused_at_once(kinds: list[Any], message: str) -> None:
    config = Config(store="memory", backends={"only": BackendConfig(api="scripted", url="http://unused")})
    with pytest.raises(ConfigError, match=f"^hosted tools: .*{message}"):
        create_app(config, hosted_tools=[Other(kind) for kind in kinds])
