"""Structured output: a request's JSON Schema is looked at before the model is asked, the answer is held against it, and asked
for once more where the operator wants that. Both is done by processes of their own (`checker`), within bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from antiphon.core.deltas import CallStart, Delta, Finish, FinishReason, RefusalDelta, Relay, RelayedText, TextDelta
from antiphon.core.request.decoding import decode_items
from antiphon.core.request.text_format import ResolvedText
from antiphon.core.turn import Turn
from antiphon.errors import BackendError, InvalidRequest
from antiphon.responses.services import Services
from antiphon.runtime.checker.pool import Checker
from antiphon.runtime.checker.protocol import Verdict
from antiphon.types.items import InputText, Message, OutputText, Reasoning, Refusal
from antiphon.types.request import TextFormat

if TYPE_CHECKING:
    from antiphon.responses.plan import Plan

NO_ANSWER = Message(role="assistant", content=[])
SAID = (TextDelta, CallStart, RefusalDelta, RelayedText, Relay)
"""What an answer that is not empty has; of those of a backend that speaks Responses nothing is known."""

CUT = (FinishReason.LENGTH, FinishReason.CONTENT_FILTER)

NOT_AGAIN = {"x-should-retry": "false"}
"""OpenAI's SDKs try a 502 again, by themselves: the same request would be paid for once more, and fare no better."""

_REPAIR = "That answer does not fit the required format: {fault} Answer again with valid JSON only, and nothing else."


def _says(delta: Delta) -> bool:
    """Tell whether an answer with this Delta is not empty, or was cut off before it could say anything."""
    return isinstance(delta, SAID) or (isinstance(delta, Finish) and delta.reason in CUT)


async def check_format(text: ResolvedText, owner: str, services: Services) -> None:
    """Refuse a `json_schema` format that is wrong, or cannot be checked within the bounds. Raises InvalidRequest.

    One that no answer is held against (not strict, or `structured_output` is off) is only looked at: its size and depth, and
    whether it refers to what is outside of it. What else it says is the backend's affair then.
    """
    format = text.format
    param = "text.schema" if text.flat else "text.format.schema"
    compile = bool(format.strict) and services.config.structured_output != "off"
    await check_schema(bytes(format.schema or b"{}"), param, owner, services.checker, compile=compile)


async def check_schema(schema: bytes, param: str, owner: str, checker: Checker, *, compile: bool = False) -> None:
    """Refuse a schema, named `param`, that is wrong or cannot be checked within the bounds. Raises InvalidRequest."""
    verdict = await checker.schema(schema, owner, compile=compile)
    if verdict.outcome == "fault":
        raise InvalidRequest(f"Invalid schema for '{param}': {verdict.reason}", param=param, code="invalid_json_schema")
    if verdict.outcome == "unchecked":
        raise InvalidRequest(
            f"The schema in '{param}' cannot be checked: {verdict.reason}", param=param, code="invalid_json_schema"
        )


def structured_output(plan: Plan, services: Services) -> StructuredOutput | None:
    """Return the check of an answer against a strict schema, or None."""
    format, policy = plan.turn.text.format, services.config.structured_output
    if policy == "off" or format.type != "json_schema" or not format.strict:
        return None
    return StructuredOutput(format, services.checker, plan.owner, repair=policy == "repair")


class StructuredOutput:
    """Checks the answer of a request with a JSON Schema.

    With `repair` the answer is withheld until it is complete; a wrong one is requested once more, and the client does not see it.
    """

    def __init__(self, format: TextFormat, checker: Checker, owner: str, *, repair: bool) -> None:
        self._schema = bytes(format.schema or b"{}")
        self._checker = checker
        self._owner = owner
        self._repair = repair
        self._judged: tuple[str, Verdict] | None = None
        self._held: list[TextDelta] = []
        self._called = False
        self._empty = True

    @property
    def withholds(self) -> bool:
        """Tell whether an answer is held back until it has been checked."""
        return self._repair

    def take(self, deltas: Sequence[Delta]) -> Sequence[Delta]:
        """Return the Deltas that may be sent now. Text beside a call is not the answer and is not withheld."""
        if not self._repair or self._called:
            return deltas
        self._empty = self._empty and not any(_says(delta) for delta in deltas)
        if any(isinstance(delta, CallStart) for delta in deltas):
            held = self.release()
            self._called, self._empty = True, False
            return [*held, *deltas]
        self._held += [delta for delta in deltas if isinstance(delta, TextDelta)]
        return [delta for delta in deltas if not isinstance(delta, TextDelta)]

    async def again(self, turn: Turn) -> Turn | None:
        """Return the Turn that asks once more, or None where the answer fits or was asked for already."""
        text = "".join(delta.text for delta in self._held)
        fault = await self._fault(text) if self._repair and (text or self._empty) else ""
        self._repair = self._repair and not fault
        if not fault:
            return None
        self._held.clear()
        self._empty = True
        said = [Message(role="assistant", content=[OutputText(text=text)])] if text else []
        asked = [*said, Message(role="user", content=[InputText(text=_REPAIR.format(fault=fault))])]
        return msgspec.structs.replace(turn, items=[*turn.items, *asked])

    def release(self) -> Sequence[Delta]:
        """Return the withheld Deltas at the end of the Turn."""
        held, self._held, self._called, self._empty = self._held, [], False, True
        return held

    async def check(self, output: Sequence[bytes]) -> None:
        """Raise BackendError where the answer's text does not fit: the last item. Words before a call are no answer.

        Thoughts alone are an empty answer, which fits no format; a refusal is none.
        """
        items = decode_items([msgspec.Raw(item) for item in output])
        last = next((item for item in reversed(items) if not isinstance(item, Reasoning)), NO_ANSWER)
        if not isinstance(last, Message) or isinstance(last.content, str):
            return
        if any(isinstance(part, Refusal) for part in last.content):
            return
        text = "".join(part.text for part in last.content if isinstance(part, OutputText))
        verdict = await self._judge(text)
        if verdict.outcome == "fault":
            raise BackendError(
                502,
                f"The model's answer does not fit the required format. {verdict.reason}",
                code="invalid_output",
                headers=NOT_AGAIN,
            )
        if verdict.outcome == "unchecked":
            raise BackendError(
                502,
                f"The model's answer cannot be checked against the required format. {verdict.reason}",
                code="unchecked_output",
                headers=NOT_AGAIN,
            )

    async def _fault(self, text: str) -> str:
        verdict = await self._judge(text)
        return verdict.reason if verdict.outcome == "fault" else ""

    async def _judge(self, text: str) -> Verdict:
        """Check a text against the schema; the verdict of the last text is kept."""
        if self._judged is None or self._judged[0] != text:
            self._judged = text, await self._checker.answer(text, self._schema, self._owner)
        return self._judged[1]
