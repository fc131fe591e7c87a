"""code_interpreter: Python that the model writes, run in a container (OpenAI's "Code Interpreter").

The model is offered a function `python`. Its container is the one that is declared, or for `auto` the one of an earlier call in
the context while that is there, else a new one. What the code shows is its output as a REPL prints it, and its pictures; files
that it writes can be linked to as `sandbox:/mnt/data/…`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from antiphon.core.kinds import BY_NAME
from antiphon.core.request.validation import decode
from antiphon.core.tools.input_unwrapper import Unwrapper
from antiphon.core.tools.offers import Offer, Target
from antiphon.tools.base import Declaration, HostedUse, Progress, ToolBounds, ToolResult, ToolServerError
from antiphon.tools.container_choice import AutoContainer, ContainerChoice, ContainerUse, cited_files
from antiphon.tools.containers.base import Done
from antiphon.tools.sandbox.base import SandboxError

NAME = "code_interpreter"
FUNCTION = "python"
MOST_MODEL_TEXT = 20_000
"""Characters of a call's output that the model sees: the beginning and the end of a longer one."""

MOST_PICTURES = 8 << 20
"""Bytes of pictures of one call that its item has."""

_CALL = "code_interpreter_call"
_PARAMETERS = Raw(
    b'{"type":"object","properties":{"code":{"type":"string","description":"Python code."}},"required":["code"]}'
)
_DESCRIPTION = (
    "Runs Python code like a notebook's cell: variables stay between calls, the value of the last expression and printed text"
    " are returned, plots of matplotlib are shown to the user. There is no network. Files are in /mnt/data."
)
_INSTRUCTIONS = (
    "The user sees files that your Python code writes to /mnt/data where you link to them:"
    " [NAME](sandbox:/mnt/data/NAME)."
)


class CodeContainer(AutoContainer, frozen=True, tag="auto"):
    """A container that the server chooses."""


class CodeDeclaration(msgspec.Struct, frozen=True):
    """The declaration."""

    container: str | CodeContainer


_declaration = msgspec.json.Decoder(CodeDeclaration)


class CodeInterpreter:
    """The tool."""

    kind = BY_NAME[NAME]

    def __init__(self, choice: ContainerChoice) -> None:
        self._choice = choice
        # Calls of one container wait for each other.
        self.bounds = ToolBounds(seconds=8 * choice.containers.bounds.call_seconds + 60, bytes=16 << 20, total=48 << 20)

    async def admit(self, declared: Sequence[Declaration], owner: str) -> HostedUse:
        """Check the declarations; where no sandbox holds on this machine, nothing is offered."""
        wanted = [(decode(_declaration, one.raw, one.param).container, f"{one.param}.container") for one in declared]
        return CodeUse(await self._choice.admit(wanted, owner))


class CodeUse(ContainerUse):
    """The tool within one response."""

    earlier = _CALL
    told = _INSTRUCTIONS

    def offers(self) -> Sequence[Offer]:
        """Offer the function."""
        if self._container is None:
            return []
        return [Offer(target=Target(NAME, FUNCTION), description=_DESCRIPTION, parameters=_PARAMETERS)]

    async def call(self, name: str, arguments: str, progress: Progress) -> ToolResult:
        """Run the code."""
        unwrapper = Unwrapper("code")
        code = unwrapper.feed(arguments) + unwrapper.close()
        if not code.strip():
            raise ToolServerError("There is no code to run.")
        assert self._container is not None
        container, containers = await self._container.there(), self._container.containers
        seconds = containers.bounds.call_seconds
        pieces: list[bytes] = []
        try:
            done = await containers.run(container, code, seconds, lambda _, piece: pieces.append(piece))
        except SandboxError as error:
            logs = _text(pieces, str(error))
            return ToolResult(fields={"outputs": _outputs(logs, ())}, model_text=logs, error=str(error))
        used = {"code_seconds": done.seconds, "stored_bytes": float(sum(file.size for file in done.files))}
        return replace(_result(container.id, pieces, done, seconds), used=used)


def _text(pieces: Sequence[bytes], *notes: str) -> str:
    printed = b"".join(pieces).decode(errors="replace")
    shown = [note for note in notes if note]
    if printed and shown and not printed.endswith("\n"):
        printed += "\n"
    return printed + "\n".join(shown)


def _outputs(logs: str, images: Sequence[bytes]) -> list[dict[str, Any]]:
    outputs: list[dict[str, Any]] = [{"type": "logs", "logs": logs}] if logs else []
    for image in images:
        url = f"data:image/png;base64,{base64.b64encode(image).decode()}"
        outputs.append({"type": "image", "url": url})
    return outputs


def _result(container: str, pieces: Sequence[bytes], done: Done, seconds: float) -> ToolResult:
    """Return what client and model get. Code that raised is completed: its traceback is what it printed."""
    ended = done.ended
    error = None
    if ended.timed_out:
        error = f"timed out after {seconds:g} s"
    elif ended.died is not None:
        error = f"the interpreter ended: {ended.died}"
    images = _fitting(ended.images)
    notes = [
        "[The container was started anew: variables of earlier calls are lost, files are there.]"
        if ended.fresh
        else "",
        f"[{ended.dropped} more bytes of output are left out.]" if ended.dropped else "",
        f"[{len(ended.images) - len(images)} pictures are left out.]" if len(images) < len(ended.images) else "",
        *(f"[Not kept: {why}.]" for why in done.left_out[:10]),
        error or "",
    ]
    logs = _text(pieces, *notes).rstrip("\n")
    files = cited_files(container, done)
    said = [_shortened(logs) or "(no output)"]
    if images:
        said.append(f"[{len(images)} pictures are shown to the user.]")
    if files:
        said.append(f"Files written: {', '.join(file.path for file in files[:20])}")
    return ToolResult(fields={"outputs": _outputs(logs, images)}, model_text="\n".join(said), files=files, error=error)


def _fitting(images: Sequence[bytes]) -> list[bytes]:
    kept, size = [], 0
    for image in images:
        size += len(image)
        if size <= MOST_PICTURES:
            kept.append(image)
    return kept


def _shortened(text: str) -> str:
    if len(text) <= MOST_MODEL_TEXT:
        return text
    half = MOST_MODEL_TEXT // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters are left out …]\n{text[-half:]}"
