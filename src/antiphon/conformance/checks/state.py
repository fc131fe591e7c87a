"""Stored responses, and responses that continue others."""

from __future__ import annotations

from urllib.parse import quote

from antiphon.conformance.base import Area
from antiphon.conformance.checks.responses import answered
from antiphon.conformance.grammar import text_of, whole_response
from antiphon.conformance.shapes import PAGE
from antiphon.conformance.talk import CheckTalk
from antiphon.conformance.wire import Json

AREA = Area("state")
GUIDE = "API guides, Conversation state"
ITEMS = "API reference, Responses, List input items"
SAID = [{"role": "user", "content": f"Number {number}."} for number in range(1, 6)]


def path_of(response: Json) -> str:
    """Return the path of a response."""
    return f"/responses/{quote(response['id'], safe='')}"


@AREA.check("stored", "a response can be read, the same as it was given", "API reference, Responses, Get a response")
async def _stored(talk: CheckTalk) -> None:
    response = await answered(talk, input="Say hello.")
    read = whole_response(talk, await talk.ok("GET", path_of(response)))
    talk.need(read["id"] == response["id"], "another response comes")
    talk.need(text_of(read) == text_of(response), "it says something else")
    for name in sorted(response.keys() & read.keys() - {"output"}):
        talk.want(read[name] == response[name], f"response.{name} is another one when it is read")


@AREA.check("not stored", "a response with `store: false` cannot be read", f"{GUIDE}, store")
async def _not_stored(talk: CheckTalk) -> None:
    response = await answered(talk, input="Say hello.", store=False)
    talk.want(response.get("store") is False, "response.store is not false")
    await talk.refused("GET", path_of(response), {}, statuses=(404,))


@AREA.check("deleted", "a deleted response is gone", "API reference, Responses, Delete a response")
async def _deleted(talk: CheckTalk) -> None:
    response = await answered(talk, input="Say hello.")
    gone = await talk.ok("DELETE", path_of(response))
    talk.want(gone.get("deleted") is True, "the answer does not say `deleted: true`")
    await talk.refused("GET", path_of(response), {}, statuses=(404,))


@AREA.check(
    "continued", "`previous_response_id` continues a response: its input and output are before the new input", GUIDE
)
async def _continued(talk: CheckTalk) -> None:
    first = await answered(talk, input="My name is Ada.", instructions="Be brief.")
    second = await answered(talk, input="What is my name?", previous_response_id=first["id"])
    talk.need(second.get("previous_response_id") == first["id"], "response.previous_response_id is not the request's")
    talk.want(second.get("instructions") is None, "the instructions of the response before are kept")
    usages = [(response.get("usage") or {}).get("input_tokens", 0) for response in (first, second)]
    talk.need(
        usages[1] > usages[0] or 0 in usages, "no more input tokens are counted than before: is the history there?"
    )


@AREA.check("unknown previous", "a `previous_response_id` that does not exist is an error", GUIDE)
async def _unknown(talk: CheckTalk) -> None:
    body = {"model": talk.model, "input": "Hi", "previous_response_id": "resp_" + "0" * 48}
    error = await talk.refused("POST", "/responses", body, statuses=(400, 404))
    talk.want(error.get("code") == "previous_response_not_found", "error.code is not previous_response_not_found")


@AREA.check("input items", "the input of a response is listed", ITEMS)
async def _items(talk: CheckTalk) -> None:
    response = await answered(talk, input=SAID)
    page = talk.fits(await talk.ok("GET", f"{path_of(response)}/input_items?order=asc"), PAGE, "page")
    talk.need(len(page["data"]) == len(SAID), f"{len(page['data'])} items are listed, not {len(SAID)}")
    for item, said in zip(page["data"], SAID, strict=True):
        talk.need(isinstance(item, dict) and item.get("type") == "message", "an item is no message")
        talk.want(isinstance(item.get("id"), str), "an item has no id")
        talk.need(said["content"] in str(item.get("content")), "the items are not in order")


@AREA.check("paging", "pages of input items follow each other, by `limit`, `after` and `order`", ITEMS)
async def _paging(talk: CheckTalk) -> None:
    response = await answered(talk, input=SAID)
    path, seen, after = f"{path_of(response)}/input_items?limit=2", [], ""
    for _ in range(len(SAID)):
        page = talk.fits(await talk.ok("GET", f"{path}{after}"), PAGE, "page")
        talk.need(0 < len(page["data"]) <= 2, f"a page of {len(page['data'])} items, with limit=2")
        seen += [str(item.get("id") if isinstance(item, dict) else item) for item in page["data"]]
        if not page.get("has_more", len(page["data"]) == 2):
            break
        after = f"&after={quote(seen[-1], safe='')}"
    talk.need(len(seen) == len(set(seen)) == len(SAID), f"{len(seen)} items on all pages, not {len(SAID)}")
    turned = await talk.ok("GET", f"{path_of(response)}/input_items?order=asc")
    ids = [item.get("id") for item in turned.get("data") or [] if isinstance(item, dict)]
    talk.need(ids == seen[::-1], "with order=asc the items are not those of the default order, turned round")


@AREA.check("history of items", "the input of a response that continues another has the history", ITEMS)
async def _history(talk: CheckTalk) -> None:
    first = await answered(talk, input="My name is Ada.")
    second = await answered(talk, input="What is my name?", previous_response_id=first["id"])
    page = talk.fits(await talk.ok("GET", f"{path_of(second)}/input_items?order=asc"), PAGE, "page")
    texts = [str(item.get("content")) for item in page["data"] if isinstance(item, dict)]
    talk.need(any("What is my name?" in text for text in texts), "the request's own input is missing")
    talk.want(any("My name is Ada." in text for text in texts), "the history is missing")
