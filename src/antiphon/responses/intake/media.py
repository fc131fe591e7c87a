"""Images and files of a request: URLs are fetched or checked, file ids are resolved, shapes and sizes are looked at.

What comes out is what a backend can take: images as http(s) or data URLs, files as data, or as text where that is wanted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Self

import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import replace

from antiphon.core.context import content_of
from antiphon.core.json_encoding import to_json
from antiphon.core.media import file_types
from antiphon.core.media.file_types import BINARY, data_url, is_data_url
from antiphon.core.media.urls import UrlSlot, may_hold_urls, url_slots
from antiphon.core.request.validation import decode_any, missing
from antiphon.errors import APIError, InvalidRequest, NotFound
from antiphon.net.fetching import Fetcher
from antiphon.net.url_guard import UrlGuard
from antiphon.runtime.offload import by_size
from antiphon.runtime.request_memory import take
from antiphon.stores.base import FileStore, whole_file
from antiphon.stores.records import StoredFile
from antiphon.types.items import (
    CacheBreakpoint,
    CustomToolCallOutput,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputText,
    Item,
    Message,
    OtherItem,
    Part,
)
from antiphon.types.raw import TEXTS

SECONDS = 90.0  # for all files of a request
MOST_URLS = 500
FETCHED_AT_ONCE = 4
MEDIA_FIELDS = frozenset(("image_url", "file_url", "audio_url", "video_url"))
GONE = "[A file that stood here is not available any more.]"


class MediaForm(msgspec.Struct, frozen=True, kw_only=True):
    """Form in which a backend takes media: text files as text; images as data, if it must not fetch them itself."""

    files_as_text: bool = False
    inline_images: bool = False


AS_SENT = MediaForm()
_MEDIA = frozenset((InputImage, InputFile))


class Media:
    """Prepares the media of requests.

    `limit` is the most that the files of one request may have, `max_image` the most that a fetched image may have, in bytes.
    """

    def __init__(
        self,
        files: FileStore,
        guard: UrlGuard,
        fetcher: Fetcher,
        clock: Callable[[], float],
        *,
        limit: int,
        max_image: int | None = None,
    ) -> None:
        self.files = files
        self.guard = guard
        self.fetcher = fetcher
        self.clock = clock
        self.limit = limit
        self.max_image = limit if max_image is None else max_image

    async def admit(
        self, items: Sequence[Item], owner: str, *, form: MediaForm = AS_SENT, path: str = "input"
    ) -> Sequence[Item]:
        """Return the items with their media ready for a backend; the very same sequence where there are none.

        Raises InvalidRequest (`param` such as `input[0].content[1].image_url`), and NotFound for an unknown file id.
        """
        holders = media_holders(items)
        if not holders:
            return items
        return await self._ready(items, holders, _RequestMedia(self, owner, form), path)

    async def restore(self, items: Sequence[Item], owner: str, *, form: MediaForm = AS_SENT) -> Sequence[Item]:
        """Do the same for items of earlier turns: a deleted file becomes a note in the text, not an error."""
        holders = media_holders(items)
        if not holders:
            return items
        return await self._ready(items, holders, _RequestMedia(self, owner, form, lenient=True), "input")

    async def admit_slots(self, slots: Sequence[UrlSlot], owner: str, *, inline: bool, path: str) -> None:
        """Fetch or check the URLs of media inside JSON that goes to a backend as it is, and replace them.

        Raises InvalidRequest.
        """
        async with _RequestMedia(self, owner, MediaForm(inline_images=inline)) as media, _deadline(path):
            await media.slots(slots)

    async def put_stored(self, holders: Sequence[tuple[dict[str, Any], str]], owner: str) -> None:
        """Put stored pictures as `image_url` in place of `file_id` into objects, each with its path. Raises APIError."""
        async with _RequestMedia(self, owner, MediaForm()) as media:
            for holder, param in holders:
                holder["image_url"] = await media.stored_url(holder.pop("file_id"), param)

    async def attach(self, items: Sequence[Item], file_id: str, owner: str) -> list[Item]:
        """Let a stored file join the last user message (CompactifAI's `file_id`). Raises NotFound with param `file_id`."""
        file = await self.files.get(file_id, owner, self.clock())
        if file is None:
            raise _not_found(file_id, "file_id")
        image = file.media_type.startswith("image/")
        part = InputImage(file_id=file_id) if image else InputFile(file_id=file_id, filename=file.filename)
        return _joined(items, part)

    async def _ready(
        self, items: Sequence[Item], holders: Sequence[int], media: _RequestMedia, path: str
    ) -> Sequence[Item]:
        ready = list(items)
        async with media, _deadline(path):
            for index in holders:
                ready[index] = await media.item(items[index], f"{path}[{index}]")
        return ready


@contextlib.asynccontextmanager
async def _deadline(path: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(SECONDS):
            yield
    except TimeoutError:
        raise InvalidRequest(
            "Fetching the files of this request took too long.", param=path, code="url_timeout"
        ) from None


class _RequestMedia:
    """The media of one request; a context manager that cancels unfinished fetches. `lenient`: a deleted file becomes a note."""

    def __init__(self, media: Media, owner: str, form: MediaForm, *, lenient: bool = False) -> None:
        self._media = media
        self._owner = owner
        self._form = form
        self._lenient = lenient
        self._left = media.limit
        self._urls: dict[str, asyncio.Task[str]] = {}
        self._room = asyncio.Semaphore(FETCHED_AT_ONCE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._urls.values():
            task.cancel()
        await asyncio.gather(*self._urls.values(), return_exceptions=True)

    async def item(self, item: Item, path: str) -> Item:
        match item:
            case Message(content=list(parts)):
                return replace(item, content=await self._parts(parts, f"{path}.content"))
            case FunctionCallOutput(output=list(parts)) | CustomToolCallOutput(output=list(parts)):
                return replace(item, output=await self._parts(parts, f"{path}.output"))
            case OtherItem() if may_hold_urls(item.raw):
                return await self._other(item, path)
        return item

    async def _parts(self, parts: Sequence[Part], path: str) -> list[Part]:
        for index, part in enumerate(parts):
            if isinstance(part, InputImage) and part.image_url and not is_data_url(part.image_url):
                with contextlib.suppress(InvalidRequest):  # told when the part's turn comes
                    self._begin(part.image_url, f"{path}[{index}].image_url")
        return [await self._part(part, f"{path}[{index}]") for index, part in enumerate(parts)]

    async def _part(self, part: Part, path: str) -> Part:
        try:
            if isinstance(part, InputImage):
                return await self._image(part, path)
            if isinstance(part, InputFile):
                return await self._file(part, path)
        except APIError:
            if not self._lenient:
                raise
            return InputText(text=GONE)
        return part

    # URLs

    async def _other(self, item: OtherItem, path: str) -> Item:
        """Look at an item that goes to a backend as it came, such as a screenshot."""
        size = len(bytes(item.raw))
        value, slots = await by_size(size, _slots_of, item.raw, path)
        try:
            await self.slots(slots)
        except APIError:
            if not self._lenient:
                raise
            return Message(role="user", content=[InputText(text=GONE)])
        return replace(item, raw=Raw(await by_size(size, to_json, value))) if slots else item

    async def slots(self, slots: Sequence[UrlSlot]) -> None:
        """Fetch or check the URLs of slots, and put what comes of them there. Raises InvalidRequest."""
        for slot in slots:
            if not is_data_url(slot.url):
                self._begin(slot.url, slot.path)
        for slot in slots:
            slot.put(await self._put(slot.url, slot.path, image=slot.name.startswith("image")))

    async def _put(self, url: str, param: str, *, image: bool) -> str:
        """Return what a backend gets for a URL: the URL itself, or data."""
        if is_data_url(url):
            kind, data = file_types.parse_data_url(url, param)
            self._spend(len(data) * 3 // 4, param)
            if not self._lenient:  # those of earlier turns were looked at then
                code = "invalid_base64_image" if image else "invalid_base64"
                await by_size(len(data), file_types.decode_base64, data, param, code)
        else:
            url = await self._begin(url, param)
            kind = file_types.kind_of(url) if is_data_url(url) else ""
        if image and kind:
            _check_image(kind, param)
        return url

    def _begin(self, url: str, param: str) -> asyncio.Task[str]:
        """Begin to fetch or to check a URL, once; a few are fetched at a time."""
        task = self._urls.get(url)
        if task is None:
            if len(self._urls) >= MOST_URLS:
                raise InvalidRequest(
                    f"Too many media URLs: at most {MOST_URLS} are allowed per request.",
                    param=param,
                    code="too_many_urls",
                )
            task = self._urls[url] = asyncio.ensure_future(self._lead(url, param))
        return task

    async def _lead(self, url: str, param: str) -> str:
        async with self._room:
            if not self._form.inline_images:
                await self._media.guard.check(url, param)
                return url
            fetched = await self._media.fetcher.fetch(url, param, self._media.max_image)
            self._spend(len(fetched.content), param)
            kind = file_types.media_type(fetched.filename, fetched.declared, fetched.content)
            return await by_size(len(fetched.content), data_url, kind, fetched.content)

    # Images

    async def _image(self, part: InputImage, path: str) -> Part:
        param = f"{path}.image_url"
        url = part.image_url
        if not url:
            return await self._stored_image(part, path)
        put = await self._put(url, param, image=True)
        return part if put == url else replace(part, image_url=put)

    async def _stored_image(self, part: InputImage, path: str) -> Part:
        if not part.file_id:
            raise missing(f"{path}.image_url")
        return replace(part, image_url=await self.stored_url(part.file_id, f"{path}.file_id"), file_id=UNSET)

    async def stored_url(self, id: str, param: str) -> str:
        """Return a stored picture as a data URL. Raises NotFound, and InvalidRequest for another kind of file."""
        file, content = await self._stored(id, param)
        _check_image(file.media_type, param)
        return await by_size(len(content), data_url, file.media_type, content)

    # Files

    async def _file(self, part: InputFile, path: str) -> Part:
        made = await self._file_as_form(part, path)
        mark = part.prompt_cache_breakpoint
        if isinstance(mark, CacheBreakpoint) and isinstance(made, InputText | InputFile):
            return replace(made, prompt_cache_breakpoint=mark)
        return made

    async def _file_as_form(self, part: InputFile, path: str) -> Part:
        if part.file_id:
            file, content = await self._stored(part.file_id, f"{path}.file_id")
            return await self._made(part.filename or file.filename, file.media_type, content)
        if part.file_url:
            param = f"{path}.file_url"
            fetched = await self._media.fetcher.fetch(part.file_url, param)
            self._spend(len(fetched.content), param)
            name = part.filename or fetched.filename
            kind = file_types.media_type(name, fetched.declared, fetched.content)
            return await self._made(name, kind, fetched.content)
        if part.file_data:
            return await self._sent(part, part.file_data, f"{path}.file_data")
        raise missing(f"{path}.file_data")

    async def _sent(self, part: InputFile, data: str, param: str) -> Part:
        """Look at data that came with the request: a data URL, or bare base64."""
        name = part.filename or "file"
        kind = ""
        if is_data_url(data):
            kind, data = file_types.parse_data_url(data, param)
        self._spend(len(data) * 3 // 4, param)
        if not self._form.files_as_text:
            return part
        content = await by_size(len(data), file_types.decode_base64, data, param)
        return await self._made(name, file_types.media_type(name, kind, content), content)

    async def _made(self, name: str, kind: str, content: bytes) -> Part:
        if self._form.files_as_text and file_types.is_text(kind):
            text = await by_size(len(content), file_types.as_text, content)
            if text is not None:
                return InputText(text=f"File {name}:\n{text}")
        return InputFile(filename=name, file_data=await by_size(len(content), data_url, kind or BINARY, content))

    async def _stored(self, id: str, param: str) -> tuple[StoredFile, bytes]:
        now = self._media.clock()
        file = await self._media.files.get(id, self._owner, now)
        if file is None:
            raise _not_found(id, param)
        self._spend(file.size, param)
        content = await whole_file(self._media.files, file, now)
        if content is None:
            raise _not_found(id, param)
        return file, content

    def _spend(self, size: int, param: str) -> None:
        take(size * 4 // 3)  # it becomes base64
        self._left -= size
        if self._left < 0:
            raise InvalidRequest(
                f"The files of this request are larger than {self._media.limit} bytes.",
                param=param,
                code="file_too_large",
            )


def _slots_of(raw: Raw, path: str) -> tuple[Any, list[UrlSlot]]:
    """Return an item's JSON, and where URLs of media stand in it."""
    value = decode_any(raw, path)
    return value, [slot for slot in url_slots(value, path) if slot.name in MEDIA_FIELDS]


def media_holders(items: Sequence[Item]) -> list[int]:
    """Return the indexes of the items that contain media. Called for all items of every request."""
    holders: list[int] = []
    for index, item in enumerate(items):
        if isinstance(item, OtherItem):
            if may_hold_urls(item.raw):
                holders.append(index)
            continue
        parts = content_of(item)
        if type(parts) not in TEXTS and not _MEDIA.isdisjoint(map(type, parts)):  # type: ignore[arg-type]  # no text
            holders.append(index)
    return holders


def _joined(items: Sequence[Item], part: Part) -> list[Item]:
    joined = list(items)
    for index in range(len(joined) - 1, -1, -1):
        item = joined[index]
        if isinstance(item, Message) and item.role == "user":
            parts = [InputText(text=item.content)] if isinstance(item.content, str) else item.content
            joined[index] = replace(item, content=[*parts, part])
            return joined
    return [*joined, Message(role="user", content=[part])]


def _check_image(kind: str, param: str) -> None:
    if not kind.startswith("image/"):
        raise InvalidRequest(
            f"Invalid image: expected an image, got '{kind[:100]}'.", param=param, code="invalid_image"
        )


def _not_found(id: str, param: str) -> NotFound:
    return NotFound(f"File '{id}' not found.", param=param, code="file_not_found")
