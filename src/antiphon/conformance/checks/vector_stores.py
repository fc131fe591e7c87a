"""Vector stores."""

from __future__ import annotations

from urllib.parse import quote

from antiphon.conformance.base import Area
from antiphon.conformance.checks.files import NOTES, uploaded
from antiphon.conformance.checks.responses import created
from antiphon.conformance.shapes import FOUND, VECTOR_STORE, VECTOR_STORE_FILE
from antiphon.conformance.talk import CheckTalk

AREA = Area("vector stores")
SECTION = "API reference, Vector stores"
POLLS = 200


async def filled(talk: CheckTalk) -> tuple[str, str]:
    """Create a vector store with a file; return the ids of both. Raises NonConforming, NotOffered."""
    file = await uploaded(talk, "notes.txt", NOTES, "assistants")
    store = talk.fits(await talk.ok("POST", "/vector_stores", {"name": "notes"}), VECTOR_STORE, "vector store")
    path = f"/vector_stores/{quote(store['id'], safe='')}"
    talk.made(path)
    added = talk.fits(await talk.ok("POST", f"{path}/files", {"file_id": file["id"]}), VECTOR_STORE_FILE, "file")
    for _ in range(POLLS):
        if added["status"] != "in_progress":
            break
        await talk.pause(0.25)
        added = talk.fits(await talk.ok("GET", f"{path}/files/{quote(file['id'], safe='')}"), VECTOR_STORE_FILE, "file")
    talk.need(added["status"] == "completed", f"the file's status is {added['status'][:40]}, not completed")
    return store["id"], file["id"]


@AREA.check("search", "a file is added, and found by a query", f"{SECTION}, Search")
async def _search(talk: CheckTalk) -> None:
    store, file = await filled(talk)
    path = f"/vector_stores/{quote(store, safe='')}"
    page = await talk.ok("POST", f"{path}/search", {"query": "Where does the archive key hang?"})
    talk.need(isinstance(page.get("data"), list) and page["data"], "nothing is found")
    found = talk.fits(page["data"][0], FOUND, "result")
    talk.need(found["file_id"] == file, "another file is found")
    talk.need("blue door" in str(found["content"]), "the result does not hold what was asked for")


@AREA.check("life", "a vector store is read, changed, listed and deleted", SECTION)
async def _life(talk: CheckTalk) -> None:
    store, _ = await filled(talk)
    path = f"/vector_stores/{quote(store, safe='')}"
    talk.need(
        (await talk.ok("POST", path, {"name": "other notes"})).get("name") == "other notes", "its name is not changed"
    )
    read = talk.fits(await talk.ok("GET", path), VECTOR_STORE, "vector store")
    talk.want((read.get("file_counts") or {}).get("completed") == 1, "file_counts does not count the file")
    listed = (await talk.ok("GET", "/vector_stores")).get("data")
    talk.want(any(isinstance(one, dict) and one.get("id") == store for one in listed or []), "it is not listed")
    await talk.ok("DELETE", path)
    await talk.refused("GET", path, {}, statuses=(404,))


@AREA.check("file_search", "the server searches the store for the model", "API guides, File search")
async def _file_search(talk: CheckTalk) -> None:
    store, _ = await filled(talk)
    tool = {"type": "file_search", "vector_store_ids": [store]}
    asked = "Where does the archive key hang?"
    response = await created(talk, input=asked, tools=[tool], tool_choice={"type": "file_search"})
    calls = [item for item in response["output"] if item.get("type") == "file_search_call"]
    talk.need(calls, "there is no file_search_call")
    talk.need(calls[0].get("queries"), "the call has no queries")
    talk.need(calls[0].get("status") == "completed", f"the call's status is {calls[0].get('status')}, not completed")
