"""Compaction: a `compaction` item holds a sealed summary that stands for what came before it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import SEALED
from antiphon.core.opaque import NO_OPAQUE, Opaque, OpaqueData
from antiphon.core.request import other_items
from antiphon.core.request.decoding import decode_items
from antiphon.core.tools.call_pairs import BREAK, pair, sides_of
from antiphon.errors import InvalidRequest
from antiphon.types.items import InputText, Item, Message, OtherItem, Reasoning

TRIGGER = "compaction_trigger"
ASKED_BYTES = 64 * 1024

PROMPT = (
    "The conversation above is about to be replaced by a summary. Write that handoff summary now, for the model that goes on: "
    "what the user wants, what was decided and done, facts, names, numbers, file paths and code that are still needed, "
    "what is open, and what comes next. Summarize the conversation only; do not answer it. Be complete and brief."
)
_HEADING = "Summary of the conversation so far:\n\n"


class Compacted(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a compaction item seals. `kept` are items that still stand as they were; None: the user's messages before it do.

    `asked` are the user's last messages, for clients that send the item back without them; `waiting` are calls whose
    outputs come later, with the thoughts before them. `opaque` is what only backends can read of those that stand.
    """

    summary: str
    kept: list[Raw] | None = None
    asked: list[Raw] = []
    waiting: list[Raw] = []
    opaque: dict[str, tuple[Opaque, ...]] = {}


_compacted = msgspec.json.Decoder(Compacted)


def in_place_of(items: Sequence[Item], summary: str, opaque: OpaqueData = NO_OPAQUE) -> Compacted:
    """Return what replaces a conversation as a whole."""
    sides = sides_of(items)
    answered = set(pair(sides).calls.values())
    waiting: list[Item] = []
    thoughts: list[Item] = []  # of the answer that the calls are in
    open_answer = False
    for index, (item, side) in enumerate(zip(items, sides, strict=True)):
        if isinstance(item, Reasoning):
            thoughts.append(item)
        elif side is not None and (side is BREAK or side.output):
            thoughts, open_answer = [], False
        elif side is not None and index not in answered:
            waiting += [*thoughts, item]
            thoughts, open_answer = [], True
    if open_answer:
        waiting += thoughts  # they stand behind its last call
    asked = _last(user_messages(items))
    return Compacted(summary, None, asked, [_json(item) for item in waiting], opaque_among(waiting, opaque))


def opaque_among(items: Sequence[Item], opaque: OpaqueData) -> dict[str, tuple[Opaque, ...]]:
    """Return what goes with the thoughts among the items."""
    if not opaque:
        return {}
    keys = [key for item in items if isinstance(item, Reasoning) for key in (item.id, item.encrypted_content)]
    return {key: tuple(opaque[key]) for key in keys if isinstance(key, str) and key in opaque}


def _last(messages: Sequence[Item]) -> list[Raw]:
    """Return the JSON of the last of the messages, as far as there is room."""
    kept: list[Raw] = []
    room = ASKED_BYTES
    for message in reversed(messages):
        kept.append(_json(message))
        room -= len(bytes(kept[-1]))
        if room < 0:
            kept.pop()
            break
    return kept[::-1]


def _json(item: Item) -> Raw:
    return item.raw if isinstance(item, OtherItem) else Raw(to_json(item))


def compaction_item(id: str, sealed: str) -> bytes:
    """Return a compaction item. `sealed` is the seal of a Compacted's JSON."""
    return to_json({"id": id, "type": "compaction", "encrypted_content": sealed})


def is_trigger(item: Item) -> bool:
    """Tell whether an item asks for a compaction."""
    return isinstance(item, OtherItem) and item.type == TRIGGER


def has_trigger(items: Sequence[Item]) -> bool:
    """Tell whether one of the items asks for a compaction."""
    return OtherItem in set(map(type, items)) and any(is_trigger(item) for item in items)


def expand(
    items: Sequence[Item],
    unseal: Callable[[str], str | None],
    opaque: dict[str, Sequence[Opaque]] | None = None,
) -> list[Item]:
    """Replace all that stands before the last compaction item by what that item holds; `opaque` takes what goes with it.

    A compaction item that `unseal` knows nothing of (another server's) is passed over. Raises InvalidRequest for one that
    holds something else than a compaction.
    """
    for index in range(len(items) - 1, -1, -1):
        item = items[index]
        if isinstance(item, OtherItem) and item.type in SEALED:
            compacted = _open(item, unseal, f"input[{index}]")
            if compacted is not None:
                rest = [later for later in items[index + 1 :] if not is_trigger(later)]
                standing = _standing(items[:index], compacted)
                if opaque is not None:
                    opaque.update(compacted.opaque)
                kept, waiting = kept_items(compacted), _waiting(compacted, rest)
                return [*standing, summary_message(compacted), *kept, *waiting, *rest]
    return [item for item in items if not is_trigger(item)]


def sealed(items: Sequence[Item]) -> Iterator[str]:
    """Yield what compaction items seal, the last first."""
    for item in reversed(items):
        if isinstance(item, OtherItem) and (content := sealed_content(item)):
            yield content


def sealed_content(item: OtherItem) -> str:
    """Return what a compaction item seals, "" where it is none or has none."""
    if item.type not in SEALED:
        return ""
    try:
        return other_items.sealed_content(item)
    except InvalidRequest:
        return ""  # an item that was stored before such ones were refused


def _open(item: OtherItem, unseal: Callable[[str], str | None], path: str) -> Compacted | None:
    text = unseal(sealed_content(item))
    if text is None:
        return None
    try:
        return _compacted.decode(text)
    except (ValueError, RecursionError):
        raise InvalidRequest(
            "This 'encrypted_content' was not made by a compaction.", param=f"{path}.encrypted_content"
        ) from None


def _standing(before: Sequence[Item], compacted: Compacted) -> list[Item]:
    if compacted.kept is not None:
        return []
    return user_messages(before) or decode_items(compacted.asked)


def _waiting(compacted: Compacted, rest: Sequence[Item]) -> list[Item]:
    """Return the calls whose outputs have come, but not the calls themselves; with the thoughts before them."""
    held = decode_items(compacted.waiting)
    pairs = pair([*sides_of(held), BREAK, *sides_of(rest)])
    called = set(pairs.calls.values())
    standing: list[Item] = []
    thoughts: list[Item] = []
    for index, item in enumerate(held):
        if isinstance(item, Reasoning):
            thoughts.append(item)
            continue
        if index in called:
            standing += [*thoughts, item]
        thoughts = []
    return [*standing, *thoughts] if standing else []


def summary_message(compacted: Compacted) -> Item:
    """Return the message that shows a summary to the model."""
    return Message(role="user", content=[InputText(text=_HEADING + compacted.summary)])


def kept_items(compacted: Compacted) -> list[Item]:
    """Return the items that a compaction kept as they were."""
    return decode_items(compacted.kept or [])


def user_messages(items: Sequence[Item]) -> list[Item]:
    """Return the user's own messages among the items, without the summaries that stand for earlier ones."""
    return [item for item in items if isinstance(item, Message) and item.role == "user" and not is_summary(item)]


def is_summary(message: Message) -> bool:
    """Tell whether a message stands for what a compaction has replaced."""
    first = next(iter(message.content), None)
    return isinstance(first, InputText) and first.text.startswith(_HEADING)


def split_for_compaction(items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Split into what is summarised and what still stands: the last message of the user's and what came after it.

    Where that is most of it (one question, many tool calls), all is summarised and only the question stands; unless the
    question itself is most of it, as then nothing is gained.
    """
    head, tail = split_at_last_user(items)
    before, question, after = len(to_json(head)), len(to_json(tail[:1])), len(to_json(tail[1:]))
    if question + after > before and after > question:
        return list(items), tail[:1]
    return head, tail


def split_at_last_user(items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Split before the last message of the user's: what is summarised, and what is still to be answered."""
    for index in range(len(items) - 1, -1, -1):
        item = items[index]
        if isinstance(item, Message) and item.role == "user":
            return list(items[:index]), list(items[index:])
    return list(items), []
