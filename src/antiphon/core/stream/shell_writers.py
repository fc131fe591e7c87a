"""Writers of a hosted shell's two items: the call, and what its commands gave (OpenAI's "Shell").

shell_call         added{commands: []} │ command.added, .delta, .done for each command │ done
shell_call_output  added{output: []} │ output_content.delta … output_content.done for each command │ done
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from antiphon.core.deltas import CallStart
from antiphon.core.json_encoding import to_json
from antiphon.core.programs import caller
from antiphon.core.stream.emitter import Emitter
from antiphon.core.stream.tool_writers import StructuredCallWriter
from antiphon.core.stream.writers import ItemWriter
from antiphon.core.tools import call_items
from antiphon.core.tools.call_items import Fields
from antiphon.core.tools.results import ToolResult
from antiphon.types.tool_items import ContainerEnvironment, ShellCall, ShellCallOutput

CONTENT = "response.shell_call_output_content"
FAILED = 1
"""The exit code that stands for a call that could not be made."""


class HostedShellWriter(StructuredCallWriter):
    """A `shell_call` that runs in a container, whose id is in `call.opening`. It ends when its arguments are whole."""

    __slots__ = ()

    def __init__(self, emitter: Emitter, item_id: str, index: int, call: CallStart) -> None:
        super().__init__(emitter, item_id, index, call, build=call_items.shell_call)

    def _item(self, fields: Fields, status: str) -> ShellCall:
        item = super()._item(fields, status)
        assert isinstance(item, ShellCall)
        where = str((self._call.opening or {}).get("container_id", ""))
        return replace(item, environment=ContainerEnvironment(where))

    def end_arguments(self) -> None:
        """Do nothing: `close` tells the commands."""

    def progress(self, stage: str, fields: Mapping[str, object]) -> None:
        """Do nothing: what comes of the call is told by the item of its output."""

    def result(self, result: ToolResult) -> bytes:
        """End the call."""
        return self.close("completed")


class ShellOutputWriter(ItemWriter):
    """A `shell_call_output`: what the commands print streams, then how each of them ended."""

    __slots__ = ("_call", "_output")

    def __init__(self, emitter: Emitter, item_id: str, index: int, call: CallStart) -> None:
        super().__init__(emitter, item_id, index)
        self._call = call
        self._output: list[Any] = []
        self._added(self._item("completed"))  # so it is told; what becomes of it stands in its last event

    def _item(self, status: str, most: int | None = None) -> ShellCallOutput:
        return ShellCallOutput(
            id=self.item_id,
            call_id=self._call.call_id,
            status=status,
            output=[*self._output],
            max_output_length=most,
            caller=caller(self._call.caller) if self._call.caller else UNSET,
        )

    def text(self, text: str) -> None:
        """Do nothing: the arguments are the call's."""

    def end_arguments(self) -> None:
        """Do nothing: the arguments are the call's."""

    def progress(self, stage: str, fields: Mapping[str, object]) -> None:
        """Emit a piece of a command's output (`delta`), or how it ended (`done`)."""
        if stage == "done":
            ended = fields["output"]
            assert isinstance(ended, Sequence)
            self._output += ended
        told = b"".join(b",%b:%b" % (to_json(name), to_json(value)) for name, value in fields.items())
        where = b'"item_id":%b,"output_index":%d' % (to_json(self.item_id), self.index)
        self._emitter.raw(f"{CONTENT}.{stage}", where + told)

    def result(self, result: ToolResult) -> bytes:
        """End the item. Why a call gave nothing stands where a command would have written its errors."""
        if result.error is not None:
            outcome = {"type": "exit", "exit_code": FAILED}
            ended = [{"stdout": "", "stderr": result.error, "outcome": outcome}]
            self.progress("done", {"command_index": len(self._output), "output": ended})
            return self._done(self._item("incomplete"))
        most = result.fields.get("max_output_length")
        return self._done(self._item("completed", most if isinstance(most, int) else None))

    def close(self, status: str) -> bytes:
        """End the item as the response ends: with what has ended so far."""
        return self._done(self._item("incomplete"))
