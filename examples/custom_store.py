"""A store of your own: uploaded files lie in a folder, all else in an SQLite file beside them.

A store is nouns of one database; this one takes all but one of the server's own. A package adds it with an
entry point, and the configuration names it:

    # pyproject.toml of the package
    [project.entry-points."antiphon.stores"]
    folder = "examples.custom_store:open_folder"

    # antiphon.toml
    store = "folder:///var/lib/antiphon"
    secret = "..."
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from antiphon import FileUsage, Store, StoreConflict, StoredFile, StoreUnknown, open_store

PIECE = 1 << 20  # bytes of a file that are in memory at once


def open_folder(url: str) -> Store:
    """Open the store in a folder, making it where there is none."""
    folder = Path(unquote(urlsplit(url).path))
    store = open_store(str(folder / "antiphon.db"))
    return msgspec.structs.replace(store, files=FolderFiles(folder / "files"))


class FolderFiles:
    """A FileStore: for each file a content, and a JSON file with the rest. Whatever waits for the disk does so in a thread.

    What has expired is not shown any more, but stays: to delete it is the `purge` of a `database` of your own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    async def put(self, file: StoredFile, content: bytes) -> None:
        """Insert a file. Raises StoreConflict if the id is taken."""
        await asyncio.to_thread(self._write, file, content)

    async def get(self, id: str, owner: str, now: float) -> StoredFile | None:
        """Return what is known of a file, or None."""
        file = await asyncio.to_thread(self._read, id)
        return file if file is not None and _is_there(file, owner, now) else None

    async def begin(self, owner: str, expires_at: int) -> int:
        """Begin a content, which is written row by row; return its number."""
        content = secrets.randbits(60)
        await asyncio.to_thread(self._part(content).touch)
        return content

    async def append(self, content: int, start: int, row: bytes) -> None:
        """Append a row to a content. Raises StoreUnknown where it is gone."""
        await asyncio.to_thread(self._append, content, start, row)

    async def finish(self, file: StoredFile, contents: Sequence[int]) -> None:
        """Insert a file of these contents. Raises StoreUnknown where one is gone, StoreConflict if the id is taken."""
        await asyncio.to_thread(self._join, file, contents)

    async def drop(self, contents: Sequence[int]) -> None:
        """Delete contents that are no file's."""
        for content in contents:
            await asyncio.to_thread(self._part(content).unlink, missing_ok=True)

    async def row(self, content: int, start: int) -> bytes:
        """Return a piece of a content that is no file's yet."""
        return await asyncio.to_thread(_piece, self._part(content), start) or b""

    async def content(self, id: str, owner: str, now: float, start: int = 0) -> bytes | None:
        """Return a piece of a file's content, from byte `start` on; None: it is not there."""
        if await self.get(id, owner, now) is None:
            return None
        return await asyncio.to_thread(_piece, self._folder / id, start)

    async def usage(self, owner: str) -> FileUsage:
        """Return what an owner's files take."""
        sizes = [file.size for file in await asyncio.to_thread(self._all) if file.owner == owner]
        return FileUsage(len(sizes), sum(sizes))

    async def list(
        self,
        owner: str,
        now: float,
        *,
        purpose: str | None = None,
        after: str | None = None,
        limit: int = 100,
        descending: bool = False,
    ) -> Sequence[StoredFile] | None:
        """Return files in the order of their ids, which is that of their age; None if `after` is unknown."""
        files = [file for file in await asyncio.to_thread(self._all) if _is_there(file, owner, now)]
        files.sort(key=lambda file: file.id, reverse=descending)
        if after is not None:
            ids = [file.id for file in files]
            if after not in ids:
                return None
            files = files[ids.index(after) + 1 :]
        return [file for file in files if purpose in (None, file.purpose)][:limit]

    async def delete(self, id: str, owner: str) -> bool:
        """Delete a file; tell whether it was there."""
        file = await asyncio.to_thread(self._read, id)
        if file is None or file.owner != owner:
            return False
        await asyncio.to_thread(self._remove, id)
        return True

    # In a thread

    def _write(self, file: StoredFile, content: bytes) -> None:
        try:
            with open(self._folder / file.id, "xb") as out:
                out.write(content)
        except FileExistsError:
            raise StoreConflict(file.id) from None
        (self._folder / f"{file.id}.json").write_bytes(msgspec.json.encode(file))

    def _part(self, content: int) -> Path:
        return self._folder / f"{content}.part"

    def _append(self, content: int, start: int, row: bytes) -> None:
        try:
            with open(self._part(content), "r+b") as out:
                out.seek(start)
                out.write(row)
        except FileNotFoundError:
            raise StoreUnknown(str(content)) from None

    def _join(self, file: StoredFile, contents: Sequence[int]) -> None:
        parts = [self._part(content) for content in contents]
        if not all(part.exists() for part in parts):
            raise StoreUnknown(file.id)
        if (self._folder / file.id).exists():
            raise StoreConflict(file.id)
        with open(parts[0], "ab") as out:
            for part in parts[1:]:
                with open(part, "rb") as more:
                    shutil.copyfileobj(more, out)
        parts[0].rename(self._folder / file.id)
        (self._folder / f"{file.id}.json").write_bytes(msgspec.json.encode(file))
        for part in parts[1:]:
            part.unlink()

    def _read(self, id: str) -> StoredFile | None:
        if (
            not id.replace("_", "").replace("-", "").isalnum()
        ):  # an id comes from a client's URL: no other name leads anywhere
            return None
        try:
            return msgspec.json.decode((self._folder / f"{id}.json").read_bytes(), type=StoredFile)
        except FileNotFoundError:
            return None

    def _all(self) -> Sequence[StoredFile]:
        found = [self._read(path.stem) for path in self._folder.glob("*.json")]
        return [file for file in found if file is not None]

    def _remove(self, id: str) -> None:
        (self._folder / f"{id}.json").unlink(missing_ok=True)
        (self._folder / id).unlink(missing_ok=True)


def _piece(path: Path, start: int) -> bytes | None:
    try:
        with open(path, "rb") as content:
            content.seek(start)
            return content.read(PIECE)
    except FileNotFoundError:
        return None


def _is_there(file: StoredFile, owner: str, now: float) -> bool:
    """Tell whether a file is an owner's and has not expired."""
    return file.owner == owner and (file.expires_at is None or file.expires_at > now)
