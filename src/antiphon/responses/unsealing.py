"""Unsealing: opens the seals of a request's items, within bounds, large ones off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from antiphon.core import compaction, context
from antiphon.core.citations.sources import Source
from antiphon.core.opaque import Opaque, SealedThoughts
from antiphon.core.seals import is_seal
from antiphon.core.tools.results import ModelText
from antiphon.errors import InvalidRequest
from antiphon.responses.sealing import Kind, Sealer, SealError
from antiphon.types.items import Item, OtherItem, Reasoning

MOST_TOGETHER = 8 * 1024 * 1024
"""Bytes that the sealed texts of one request may have together."""
AT_ONCE = 128 * 1024
"""Bytes that are opened in one go; a larger text is opened in a thread."""
INVALID = "invalid_encrypted_content"

_thoughts = msgspec.json.Decoder(SealedThoughts)
_found = msgspec.json.Decoder(ModelText)


class Unsealing:
    """The seals of one request. `own` are the request's own items, by which an error names its path; `source` those before.

    `opaque` is what stood beside thoughts that were opened, `sources` what texts of searches name. `forgiving`: thoughts that do
    not open are left out.
    """

    def __init__(
        self, sealer: Sealer, owner: str, own: Sequence[Item], source: str = "input", *, forgiving: bool = False
    ) -> None:
        self._sealer = sealer
        self._owner = owner
        self._own = own
        self._source = source
        self._forgiving = forgiving
        self.opaque: dict[str, Sequence[Opaque]] = {}
        self.sources: list[Source] = []
        self._room = MOST_TOGETHER
        self._unbroken = 0

    @property
    def size(self) -> int:
        """Bytes of all opened texts."""
        return MOST_TOGETHER - self._room

    async def restored(self, items: Sequence[Item]) -> list[Item]:
        """Return the items with the last compaction expanded and reasoning restored.

        What another server sealed stays as it is. Raises InvalidRequest for a seal of ours that does not open.
        """
        opened: dict[str, str] = {}
        sealed = next(filter(is_seal, compaction.sealed(items)), None)
        if sealed is not None:
            opened[sealed] = await self._open(sealed, "compaction")
        try:
            items = compaction.expand(items, opened.get, self.opaque)
        except ValueError:
            raise self._refused("The encrypted content could not be verified.", sealed or "") from None
        for thoughts in filter(is_seal, context.sealed_thoughts(items, self._sealer.has_more)):
            if thoughts in opened:
                self._count(thoughts)  # it is opened once, but stands in the context again
            else:
                await self._restore(thoughts, opened)
        restored = context.unsealed(items, opened.get)
        for index, item in enumerate(restored):
            if type(item) is OtherItem and item.seen:
                restored[index] = msgspec.structs.replace(item, model_text=await self._seen(item.seen), seen=())
        return restored

    async def _seen(self, parts: Sequence[str]) -> str:
        """Return what the model saw of a call; a seal that does not open is left out."""
        texts = []
        for part in parts:
            if is_seal(part):
                try:
                    found = _found.decode(await self._open(part, "found"))
                except (InvalidRequest, msgspec.MsgspecError, ValueError, RecursionError):
                    continue
                self.sources += found.sources
                texts.append(found.text)
            else:
                texts.append(part)
        return "\n\n".join(texts)

    async def _restore(self, thoughts: str, opened: dict[str, str]) -> None:
        """Open thoughts. Raises InvalidRequest for those that do not open, unless that is forgiven."""
        try:
            if self._sealer.has_more(thoughts):
                whole = _thoughts.decode(await self._open(thoughts, "thoughts"))
                opened[thoughts] = whole.text
                self.opaque[thoughts] = whole.opaque
            else:
                opened[thoughts] = await self._open(thoughts, "reasoning")
        except InvalidRequest:
            if not self._forgiving:
                raise
            opened[thoughts] = ""

    async def _open(self, sealed: str, kind: Kind) -> str:
        size = self._count(sealed)
        try:
            if size > AT_ONCE or not self._sealer.loaded:
                return await asyncio.to_thread(self._sealer.open, sealed, kind, self._owner)
            self._unbroken += size
            if self._unbroken > AT_ONCE:
                self._unbroken = 0
                await asyncio.sleep(0)
            return self._sealer.open(sealed, kind, self._owner)
        except SealError as error:
            raise self._refused(str(error), sealed) from None

    def _count(self, sealed: str) -> int:
        """Return the bytes that a seal stands for. Raises InvalidRequest where they are too many together."""
        size = max(self._sealer.size(sealed), len(sealed))
        self._room -= size
        if self._room < 0:
            raise self._refused(
                f"The encrypted contents of the request have more than {MOST_TOGETHER} bytes in total.", sealed
            )
        return size

    def _refused(self, reason: str, sealed: str) -> InvalidRequest:
        param = self._source
        for index, item in enumerate(self._own):
            if _sealed_content(item) == sealed:
                param = f"input[{index}].encrypted_content"
        return InvalidRequest(reason, param=param, code=INVALID)


def _sealed_content(item: Item) -> str | None:
    if isinstance(item, Reasoning):
        return item.encrypted_content if isinstance(item.encrypted_content, str) else None
    return compaction.sealed_content(item) if isinstance(item, OtherItem) else None
