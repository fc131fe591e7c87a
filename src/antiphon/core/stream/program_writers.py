"""Writers of a program's two items: its code, and what came of it (OpenAI's "Programmatic tool calling").

program         added{code: ""} │ done{code}
program_output  added{result: ""} │ done{result}
"""

from __future__ import annotations

from collections.abc import Mapping

from antiphon.core.deltas import CallStart
from antiphon.core.programs import fingerprint
from antiphon.core.stream.emitter import Emitter
from antiphon.core.stream.writers import ItemWriter
from antiphon.core.tools.input_unwrapper import Unwrapper
from antiphon.core.tools.results import ToolResult
from antiphon.types.tool_items import ProgramItem, ProgramOutputItem


class ProgramWriter(ItemWriter):
    """A `program`. It ends when its code is whole."""

    __slots__ = ("_call_id", "_code", "_mark", "_unwrapper")

    def __init__(self, emitter: Emitter, item_id: str, index: int, call: CallStart) -> None:
        super().__init__(emitter, item_id, index)
        self._call_id = call.call_id
        self._mark = str((call.opening or {}).get("mark", ""))
        self._unwrapper = Unwrapper("code")
        self._code: list[str] = []
        self._added(self._item(""))

    def _item(self, code: str) -> ProgramItem:
        told_by = fingerprint(self._call_id, code, self._mark)
        return ProgramItem(id=self.item_id, call_id=self._call_id, code=code, fingerprint=told_by)

    def text(self, text: str) -> None:
        """Append to the arguments."""
        self._code.append(self._unwrapper.feed(text))

    def end_arguments(self) -> None:
        """Take in what was held back of the code."""
        self._code.append(self._unwrapper.close())

    def progress(self, stage: str, fields: Mapping[str, object]) -> None:
        """Do nothing: a program has no events of its own."""

    def result(self, result: ToolResult) -> bytes:
        """End the program."""
        return self.close("completed")

    def close(self, status: str) -> bytes:
        """End the program."""
        return self._done(self._item("".join(self._code)))


class ProgramOutputWriter(ItemWriter):
    """A `program_output`."""

    __slots__ = ("_call_id",)

    def __init__(self, emitter: Emitter, item_id: str, index: int, call: CallStart) -> None:
        super().__init__(emitter, item_id, index)
        self._call_id = call.call_id
        self._added(self._item("completed", ""))

    def _item(self, status: str, result: str) -> ProgramOutputItem:
        return ProgramOutputItem(id=self.item_id, call_id=self._call_id, status=status, result=result)

    def text(self, text: str) -> None:
        """Do nothing: the code is the program's."""

    def end_arguments(self) -> None:
        """Do nothing: the code is the program's."""

    def progress(self, stage: str, fields: Mapping[str, object]) -> None:
        """Do nothing: a program has no events of its own."""

    def result(self, result: ToolResult) -> bytes:
        """End with what the program said, or with why it gave nothing."""
        if result.error is not None:
            return self._done(self._item("incomplete", result.error))
        status = str(result.fields.get("status", "completed"))
        return self._done(self._item(status, str(result.fields.get("result", ""))))

    def close(self, status: str) -> bytes:
        """End as the response ends."""
        return self._done(self._item("incomplete", ""))
