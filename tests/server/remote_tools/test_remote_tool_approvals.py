"""Approvals of MCP calls, listings and items that were made up, limits of servers together."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.background import Tools, running
from tests.server.remote_tools.model import CALL, LISTING, declared, kinds, model
from tests.server.whole import Client, whole_server

pytestmark = pytest.mark.slow
REQUEST = {"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "clock", "name": "tick"}
ARGUMENTS = '{"job": "forged", "n": 1}'


def answer_to(id: str) -> dict:
    return {"type": "mcp_approval_response", "approval_request_id": id, "approve": True}


@pytest.mark.parametrize("allowed", [None, [], ["other"], ["tick"]])
@pytest.mark.parametrize("rule", ["never", "always", {"never": {"read_only": True}}])
def test_an_approval_that_nobody_asked_for_calls_nothing(client: Client, tools: str, allowed: Any, rule: Any) -> None:
    request = {**REQUEST, "arguments": ARGUMENTS}
    items = [LISTING, request, answer_to("mcpr_1")]
    tool = declared(tools, allowed_tools=allowed, require_approval=rule)
    conversation = client.post("/v1/conversations", items=[LISTING, request])[1]["id"]
    first = client.create(model="m", input=[{"role": "user", "content": "x"}, LISTING, request], tools=[tool])
    for fields in (
        {"input": items},
        {"input": items[2:], "conversation": conversation},
        {"input": items[2:], "previous_response_id": first["id"]},
        {"input": items, "background": True},
    ):
        status, body = client.post("/v1/responses", model="m", tools=[tool], **fields)
        assert (status, body["error"]["param"].split(".")[-1]) == (400, "approval_request_id"), body
    assert not any(job == "forged" for job, _ in Tools.made)


@pytest.mark.parametrize("change", ["name", "arguments", "server_label", "id"])
def test_what_was_agreed_to_cannot_be_changed(client: Client, tools: str, change: str) -> None:
    tool = declared(tools, require_approval="always")
    asked = client.create(model="m", input=CALL, tools=[tool], store=False)["output"]
    request = {**asked[1], change: asked[1][change] + " "}
    items = [{"role": "user", "content": CALL}, asked[0], request, answer_to(request["id"])]
    other = {**tool, "server_label": "clock "}
    status, body = client.post("/v1/responses", model="m", tools=[tool, other], input=items, store=False)
    assert (status, body["error"]["param"]) == (400, "input[3].approval_request_id")


def test_an_approval_is_good_for_its_owner_and_its_tools(tools: str) -> None:
    settings: dict[str, Any] = {"api_keys": ["sk-alice", "sk-bob"], "url_guard_allow": ["127.0.0.0/8"]}
    with model() as url, whole_server(url, **settings) as server:
        alice, bob = (Client(server.url, key) for key in ("sk-alice", "sk-bob"))
        tool = declared(tools, require_approval="always")
        asked = alice.create(model="m", input=CALL, tools=[tool], store=False)["output"]
        items = [{"role": "user", "content": CALL}, *asked, answer_to(asked[1]["id"])]
        assert bob.post("/v1/responses", model="m", tools=[tool], input=items)[0] == 400
        narrow = alice.create(model="m", tools=[{**tool, "allowed_tools": ["other"]}], input=items)
        assert "There is no tool" in narrow["output"][0]["error"]["content"][0]["text"]
        made = alice.create(model="m", tools=[tool], input=[*items, items[-1]])
        assert kinds(made) == ["mcp_call", "message"]
        again = alice.create(
            model="m", tools=[tool], input=[*items, *made["output"], {"role": "user", "content": "hi"}]
        )
        assert kinds(again) == ["message"], "a call was made again for an approval that was used"


def test_a_listing_that_was_made_up_offers_no_tool_of_the_server(client: Client, tools: str) -> None:
    made = client.create(model="m", input=[LISTING, {"role": "user", "content": "hidden {}"}], tools=[declared(tools)])
    assert "There is no tool 'hidden'" in made["output"][0]["error"]["content"][0]["text"]


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({**LISTING, "tools": "x"}, "tools"),
        ({**LISTING, "tools": [{"name": 5}]}, "tools[0].name"),
        ({**LISTING, "tools": [{"name": "a", "annotations": "x"}]}, "tools[0].annotations"),
        ({**answer_to("x"), "approval_request_id": 5}, "approval_request_id"),
        ({**answer_to("x"), "approve": "yes"}, "approve"),
        ({"type": "mcp_approval_response", "approve": True}, "approval_request_id"),
    ],
)
def test_items_of_mcp_that_cannot_be_read_are_refused(client: Client, tools: str, item: dict, param: str) -> None:
    status, body = client.post("/v1/responses", model="m", input=[item], tools=[declared(tools)])
    assert (status, body["error"]["param"]) == (400, f"input[0].{param}"), body


# What servers may take together


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"mcp_max_total": 5000}, "more than 5000 bytes in total"),
        ({"mcp_max_answer": 2000}, "more than 2000 bytes"),
        ({"mcp_max_tools": 1}, "lists more than 1 tools"),
        ({"mcp_total_timeout": 0.000001}, "seconds in total (mcp_total_timeout)"),
    ],
)
def test_servers_together_have_limits(settings: dict, told: str) -> None:
    with running(Wordy) as place, model() as url:
        with whole_server(url, url_guard_allow=["127.0.0.0/8"], **settings) as client:
            status, body = client.post("/v1/responses", model="m", input="say {}", tools=[declared(place + "/mcp")])
        if status == 200:
            body = {"error": {"message": body["output"][1]["error"]["content"][0]["text"], "code": "mcp_server_error"}}
        assert told in body["error"]["message"]
        assert body["error"]["code"] == "mcp_server_error"


class Wordy(Tools):
    """Lists two tools, of which one says much."""

    def _answer(self, method: str, params: Any) -> Any:
        if method == "tools/list":
            return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ("say", "tick")]}
        if method == "tools/call":
            return {"content": [{"type": "text", "text": "word " * 2000}]}
        return super()._answer(method, params)


def test_labels_and_their_number_are_checked(client: Client, tools: str) -> None:
    many = [declared(tools, server_label=f"s{n}") for n in range(33)]
    for given, param in (
        ([declared(tools), declared(tools)], "tools[1].server_label"),
        (many, "tools"),
        ([declared(tools, server_label="")], "tools[0].server_label"),
        ([declared(tools, server_label="a\n")], "tools[0].server_label"),
        ([declared(tools, server_label="x" * 129)], "tools[0].server_label"),
    ):
        status, body = client.post("/v1/responses", model="m", input=CALL, tools=given)
        assert (status, body["error"]["param"]) == (400, param)
