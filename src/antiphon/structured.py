"""Structured output: checks an answer against the request's JSON Schema, and asks once more where the operator wants that."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from json import JSONDecodeError, loads
from typing import TYPE_CHECKING

import msgspec

from antiphon.core.decoding import decode_items
from antiphon.core.deltas import CallStart, Delta, TextDelta
from antiphon.core.turn import Turn
from antiphon.errors import BackendError
from antiphon.types.items import InputText, Message, OutputText, Reasoning
from antiphon.types.request import TextFormat

if TYPE_CHECKING:
    from jsonschema_rs import Validator

_REPAIR = "That answer does not fit the required format: {fault} Answer again with valid JSON only, and nothing else."


def fault_of(text: str, format: TextFormat) -> str:
    """Return why a text does not fit the format, "" where it does. A schema that cannot be checked is not held against it."""
    try:
        value = loads(text)
    except JSONDecodeError as error:
        return f"It is not valid JSON: {error}."
    if format.type == "json_object":
        return "" if isinstance(value, dict) else "It is not a JSON object."
    validator = _validator(bytes(format.schema or b"true"))
    if validator is None:
        return ""
    found = next(validator.iter_errors(value), None)
    if found is None:
        return ""
    where = "/".join(map(str, found.instance_path))
    return f"At '/{where}': {found.message}."


@lru_cache(maxsize=64)
def _validator(schema: bytes) -> Validator | None:
    """Compile a schema; the import takes its time and is not made before the first use."""
    import jsonschema_rs

    try:
        return jsonschema_rs.validator_for(loads(schema))
    except (ValueError, jsonschema_rs.ValidationError):
        return None


class StructuredOutput:
    """Watches the answer of a request that asks for a format.

    With `repair` the answer is held back until it is whole, so that a wrong one can be asked for again, once, unseen.
    """

    def __init__(self, format: TextFormat, *, repair: bool) -> None:
        self._format = format
        self._repair = repair
        self._held: list[TextDelta] = []
        self._called = False

    def take(self, deltas: Sequence[Delta]) -> Sequence[Delta]:
        """Return what may be shown now. Words beside a call are no answer yet: they are not held back."""
        if not self._repair or self._called:
            return deltas
        if any(isinstance(delta, CallStart) for delta in deltas):
            held = self.release()
            self._called = True
            return [*held, *deltas]
        self._held += [delta for delta in deltas if isinstance(delta, TextDelta)]
        return [delta for delta in deltas if not isinstance(delta, TextDelta)]

    def again(self, turn: Turn) -> Turn | None:
        """Return the Turn that asks once more, or None where the answer fits or was asked for already."""
        text = "".join(delta.text for delta in self._held)
        fault = fault_of(text, self._format) if self._repair and text else ""
        self._repair = self._repair and not fault
        if not fault:
            return None
        self._held.clear()
        asked = [
            Message(role="assistant", content=[OutputText(text=text)]),
            Message(role="user", content=[InputText(text=_REPAIR.format(fault=fault))]),
        ]
        return msgspec.structs.replace(turn, items=[*turn.items, *asked])

    def release(self) -> Sequence[Delta]:
        """Return what was held back: the turn ends."""
        held, self._held, self._called = self._held, [], False
        return held

    def check(self, output: Sequence[bytes]) -> None:
        """Raise BackendError where the answer's text does not fit: the last item. Words before a call are no answer."""
        items = decode_items([msgspec.Raw(item) for item in output])
        last = next((item for item in reversed(items) if not isinstance(item, Reasoning)), None)
        if not isinstance(last, Message) or isinstance(last.content, str):
            return
        text = "".join(part.text for part in last.content if isinstance(part, OutputText))
        fault = fault_of(text, self._format) if text else ""
        if fault:
            raise BackendError(
                502, f"The model's answer does not fit the required format. {fault}", code="invalid_output"
            )
