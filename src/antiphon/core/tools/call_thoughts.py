"""Which thoughts belong to which call, for clients that send calls back without the thoughts before them. Pure.

A call is known by its id where that is long and random. Ids that servers count or repeat (`call_1`, `functions.read:0`) say
little: then the call's name and arguments count too, the user's message that was answered, and the model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b

import msgspec

from antiphon.core.tools.call_pairs import BREAK, side_of, sides_of
from antiphon.types.items import CustomToolCall, FunctionCall, FunctionCallOutput, Item, Message, OtherItem, Reasoning

CALLS = frozenset((FunctionCall, CustomToolCall, OtherItem))
"""The kinds of items that may be calls."""

BY_CALL = "call:"

_RANDOM = re.compile(r"[0-9A-Za-z]{16}")
_SHORTEST_RANDOM = 16
_LONGEST_KEY = 64
_SHORT = 512  # characters of a call whose key is remembered

_any = msgspec.json.Decoder()


class CallThoughts(msgspec.Struct, frozen=True):
    """The thoughts that stand before a call, since the call before it: indexes in the output, and items."""

    key: str
    thoughts: Sequence[tuple[int, Reasoning]]


def made(before: Sequence[Item], output: Sequence[Item], model: str = "") -> list[CallThoughts]:
    """Return the calls of an output with their thoughts. Those behind the last call of an answer go with that call."""
    asked = next((one for one in reversed(before) if type(one) is Message and one.role == "user"), None)
    question = _Question(asked, model)
    found: list[CallThoughts] = []
    thoughts: list[tuple[int, Reasoning]] = []
    for index, (item, side) in enumerate(zip(output, sides_of(output), strict=True)):
        if type(item) is Reasoning:
            thoughts.append((index, item))
        elif side is not None and side is not BREAK and not side.output:
            found.append(CallThoughts(_key(item, side.call_id, question), tuple(thoughts)))
            thoughts = []
        elif type(item) is OtherItem:
            thoughts = []  # a tool of this server: the next answer begins behind it
    if thoughts and found:
        last = found[-1]
        found[-1] = CallThoughts(last.key, (*last.thoughts, *thoughts))
    return found


def bare_calls(
    items: Sequence[Item], has_thoughts: Callable[[Reasoning], bool], model: str = ""
) -> list[tuple[int, str]]:
    """Return the indexes and keys of the calls in answers that stand without thoughts."""
    bare: list[tuple[int, str]] = []
    question = _Question(None, model)
    first = 0  # of this answer's, among `bare`
    for index, item in enumerate(items):
        kind = type(item)
        if kind is FunctionCall:
            if first >= 0:
                bare.append((index, _function_key(item, question)))  # type: ignore[arg-type]  # a FunctionCall
        elif kind is FunctionCallOutput:
            first = len(bare)
        elif type(item) is Reasoning:
            if has_thoughts(item):
                del bare[first:]
                first = -1
        elif (side := side_of(item)) is BREAK or (side is not None and side.output):
            first = len(bare)
            if type(item) is Message and item.role == "user":
                question = _Question(item, model)
        elif side is not None and first >= 0:
            bare.append((index, _key(item, side.call_id, question)))
    return bare


def thoughts_id(key: str, number: int) -> str:
    """Return the id under which a store finds the thoughts before a call: the index alone tells which item it is."""
    return f"{BY_CALL}{number}:{key}"


def put_back(items: Sequence[Item], thoughts: Mapping[int, Iterable[Reasoning]]) -> list[Item]:
    """Return the items with thoughts before the indexes that are named, and before what was said right before the call.

    Models think first; Anthropic's API refuses an answer whose thoughts stand behind its text.
    """
    whole: list[Item] = []
    for index, item in enumerate(items):
        if index in thoughts:
            at = len(whole)
            while at and _is_said(whole[at - 1]):
                at -= 1
            whole[at:at] = thoughts[index]
        whole.append(item)
    return whole


def _is_said(item: Item) -> bool:
    return type(item) is Message and item.role == "assistant"


class _Question:
    """The user's message that a model answers; its text is looked at once, however many calls there are."""

    __slots__ = ("_message", "_model", "known")

    def __init__(self, message: Message | None, model: str) -> None:
        self._message = message
        self._model = model
        self.known = ""

    def text(self) -> str:
        """Return a digest of its text and of the model's name; it is `known` from then on."""
        if not self.known:
            self.known = _digest(self._model, _text(self._message) if self._message is not None else "")
        return self.known


def _function_key(call: FunctionCall, question: _Question) -> str:
    """Return a function call's key as `_key` does; most calls of a history are such."""
    call_id, name, arguments = call.call_id, call.name, call.arguments
    size = len(call_id)
    if size >= _SHORTEST_RANDOM or size + len(name) + len(arguments) > _SHORT:
        return _key(call, call_id, question)
    return _call_key(call_id, name, arguments, question.known or question.text())


def _key(call: Item, call_id: str, question: _Question) -> str:
    if len(call_id) >= _SHORTEST_RANDOM and _RANDOM.search(call_id) is not None:
        return call_id if len(call_id) <= _LONGEST_KEY else _digest(call_id)
    asked = question.known or question.text()
    if type(call) is FunctionCall:
        name, arguments = call.name, call.arguments
        make = _call_key if len(call_id) + len(name) + len(arguments) <= _SHORT else _call_key.__wrapped__
        return make(call_id, name, arguments, asked)
    if isinstance(call, CustomToolCall):
        return _digest(call_id, call.name, call.input, asked)
    return _digest(call_id, "", "", asked)


@lru_cache(maxsize=1024)  # a conversation's calls come again with each of its requests
def _call_key(call_id: str, name: str, arguments: str, question: str) -> str:
    return _digest(call_id, name, _canonical(arguments), question)


def _digest(*parts: str) -> str:
    data = [part.encode("utf-8", "surrogatepass") for part in parts]
    return blake2b(b"".join([b"%d:%b" % (len(part), part) for part in data]), digest_size=16).hexdigest()


def _canonical(arguments: str) -> str:
    """Return arguments as all clients write them."""
    try:
        return msgspec.json.encode(_any.decode(arguments), order="sorted").decode()
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return arguments


def _text(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    return "\n".join([text for part in message.content if isinstance(text := getattr(part, "text", None), str)])
