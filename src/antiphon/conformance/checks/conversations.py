"""Conversations."""

from __future__ import annotations

from urllib.parse import quote

from antiphon.conformance.base import Area
from antiphon.conformance.checks.responses import answered
from antiphon.conformance.shapes import CONVERSATION, PAGE
from antiphon.conformance.talk import CheckTalk
from antiphon.conformance.wire import Json

AREA = Area("conversations")
SECTION = "API reference, Conversations"
HELLO = {"type": "message", "role": "user", "content": "My name is Ada."}


async def begun(talk: CheckTalk, **fields: object) -> str:
    """Create a conversation and return its path. Raises NonConforming, NotOffered."""
    made = talk.fits(await talk.ok("POST", "/conversations", dict(fields)), CONVERSATION, "conversation")
    path = f"/conversations/{quote(made['id'], safe='')}"
    talk.made(path)
    return path


async def listed(talk: CheckTalk, path: str) -> list[Json]:
    """Return the items of a conversation, oldest first. Raises NonConforming."""
    page = talk.fits(await talk.ok("GET", f"{path}/items?order=asc&limit=100"), PAGE, "page")
    return [item for item in page["data"] if isinstance(item, dict)]


@AREA.check("life", "a conversation is created, read, changed and deleted", SECTION)
async def _life(talk: CheckTalk) -> None:
    path = await begun(talk, metadata={"topic": "one"})
    read = talk.fits(await talk.ok("GET", path), CONVERSATION, "conversation")
    talk.need(read.get("metadata") == {"topic": "one"}, "the metadata are not kept")
    changed = await talk.ok("POST", path, {"metadata": {"topic": "two"}})
    talk.need(changed.get("metadata") == {"topic": "two"}, "the metadata are not changed")
    gone = await talk.ok("DELETE", path)
    talk.want(gone.get("deleted") is True, "the answer does not say `deleted: true`")
    await talk.refused("GET", path, {}, statuses=(404,))


@AREA.check("items", "items are added, listed, read and deleted", f"{SECTION}, Items")
async def _items(talk: CheckTalk) -> None:
    path = await begun(talk, items=[HELLO])
    await talk.ok("POST", f"{path}/items", {"items": [{**HELLO, "content": "I live in Paris."}]})
    items = await listed(talk, path)
    talk.need(
        ["Ada" in str(items[0]), "Paris" in str(items[-1]), len(items)] == [True, True, 2],
        "the items are not those that were added",
    )
    one = f"{path}/items/{quote(str(items[0].get('id')), safe='')}"
    talk.need((await talk.ok("GET", one)).get("id") == items[0].get("id"), "another item comes")
    await talk.ok("DELETE", one)
    talk.need(len(await listed(talk, path)) == 1, "a deleted item is still listed")


@AREA.check(
    "responses",
    "input and output of a response go into its conversation, and are there for the next",
    f"{SECTION}, Create a response",
)
async def _responses(talk: CheckTalk) -> None:
    path = await begun(talk)
    id = path.rpartition("/")[2]
    first = await answered(talk, input="My name is Ada.", conversation=id)
    conversation = first.get("conversation")
    named = conversation.get("id") if isinstance(conversation, dict) else conversation
    talk.want(named == id, "response.conversation is not the request's")
    await answered(talk, input="What is my name?", conversation=id)
    roles = [item.get("role") for item in await listed(talk, path) if item.get("type") == "message"]
    talk.need(roles == ["user", "assistant", "user", "assistant"], f"the conversation has messages of {roles}"[:200])


@AREA.check("unknown", "a conversation that does not exist is an error", SECTION)
async def _unknown(talk: CheckTalk) -> None:
    await begun(talk)
    body = {"model": talk.model, "input": "Hi", "conversation": "conv_" + "0" * 48}
    await talk.refused("POST", "/responses", body, statuses=(400, 404))
