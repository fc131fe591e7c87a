"""Files, and what is made of them: batches, vector stores."""

from __future__ import annotations

from urllib.parse import quote

from antiphon.conformance.base import Area
from antiphon.conformance.shapes import FILE
from antiphon.conformance.talk import CheckTalk
from antiphon.conformance.wire import Json

AREA = Area("files")
SECTION = "API reference, Files"
NOTES = b"The archive key hangs behind the blue door. The garden has forty-two apple trees.\n"


async def uploaded(talk: CheckTalk, name: str, data: bytes, purpose: str) -> Json:
    """Upload a file. Raises NonConforming, NotOffered."""
    file = talk.fits(await talk.upload("/files", name, data, purpose=purpose), FILE, "file")
    talk.made(f"/files/{quote(file['id'], safe='')}")
    return file


@AREA.check("life", "a file is uploaded, read, downloaded, listed and deleted", SECTION)
async def _life(talk: CheckTalk) -> None:
    file = await uploaded(talk, "notes.txt", NOTES, "user_data")
    talk.need(file["bytes"] == len(NOTES), f"file.bytes is {file['bytes']}, not {len(NOTES)}")
    path = f"/files/{quote(file['id'], safe='')}"
    talk.need((await talk.ok("GET", path)).get("id") == file["id"], "another file comes")
    talk.need(await talk.bytes_of(f"{path}/content") == NOTES, "the content is not what was uploaded")
    listed = (await talk.ok("GET", "/files")).get("data")
    talk.want(any(isinstance(one, dict) and one.get("id") == file["id"] for one in listed or []), "it is not listed")
    gone = await talk.ok("DELETE", path)
    talk.want(gone.get("deleted") is True, "the answer does not say `deleted: true`")
    await talk.refused("GET", path, {}, statuses=(404,))


@AREA.check("unknown", "a file that does not exist is a 404 with an error object", SECTION)
async def _unknown(talk: CheckTalk) -> None:
    await talk.ok("GET", "/files")
    await talk.refused("GET", "/files/file-" + "0" * 24, {}, statuses=(404,))
