"""Hosted shell: commands that the model writes, run in a container of this server (OpenAI's "Shell").

The declaration's `environment` says where: `container_auto` or `container_reference`. One that is `local`, or says nothing, is
the client's own shell (`core.kinds`). Each command has a shell of its own; files stay between commands and calls.
"""

from __future__ import annotations

import asyncio
import codecs
import time
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

import msgspec

from antiphon.core.citations.sources import ContainerFile
from antiphon.core.kinds import BY_NAME
from antiphon.core.request.validation import decode
from antiphon.core.tools.call_items import fields_of, shell_action
from antiphon.core.tools.environments import HOSTED_SHELL, SHELL
from antiphon.core.tools.offers import Offer, Target
from antiphon.stores.records import StoredContainer
from antiphon.tools.base import Declaration, HostedUse, Progress, ToolBounds, ToolResult, ToolServerError
from antiphon.tools.container_choice import AutoContainer, ContainerChoice, ContainerUse, cited_files
from antiphon.tools.containers.base import Done
from antiphon.tools.containers.containers import Containers
from antiphon.tools.sandbox.base import Ended, SandboxError
from antiphon.types.tool_items import ShellAction

MOST_COMMANDS = 32
"""Commands of one call."""

MOST_OUTPUT = 20_000
"""Characters of a command's output where the model asks for no other number."""

MOST_ASKED_OUTPUT = 100_000
"""Characters of a command's output that a model may ask for."""

TELL_SECONDS = 0.05
"""So long output is gathered before it is told."""

CALLS = 4
"""The commands of one call together may take so many times the seconds of one command."""

_DESCRIPTION = (
    "Runs shell commands in a Linux container, one after another, and returns what each of them prints and its exit code."
    " There is no network. Files are in /mnt/data, where commands begin, and stay between calls."
)
_INSTRUCTIONS = (
    "The user sees files that your shell commands write to /mnt/data where you link to them:"
    " [NAME](sandbox:/mnt/data/NAME)."
)
_STREAMS = {1: "stdout", 2: "stderr"}
_SIGNALLED = 128  # what shells add to a signal's number


class ShellContainer(AutoContainer, frozen=True, tag="container_auto"):
    """A container that the server chooses."""


class ContainerReference(msgspec.Struct, frozen=True, tag="container_reference"):
    """A container by its id."""

    container_id: str


class ShellDeclaration(msgspec.Struct, frozen=True):
    """The declaration."""

    environment: ShellContainer | ContainerReference


_declaration = msgspec.json.Decoder(ShellDeclaration)


class HostedShell:
    """The tool."""

    kind = BY_NAME[HOSTED_SHELL]

    def __init__(self, choice: ContainerChoice) -> None:
        self._choice = choice
        # Calls of one container wait for each other.
        seconds = 2 * CALLS * choice.containers.bounds.call_seconds + 60
        self.bounds = ToolBounds(seconds=seconds, bytes=16 << 20, total=48 << 20)

    async def admit(self, declared: Sequence[Declaration], owner: str) -> HostedUse:
        """Check the declarations; where no sandbox holds on this machine, nothing is offered."""
        wanted = [_wanted(decode(_declaration, one.raw, one.param), one.param) for one in declared]
        return ShellUse(await self._choice.admit(wanted, owner))


def _wanted(declaration: ShellDeclaration, param: str) -> tuple[str | AutoContainer, str]:
    environment = declaration.environment
    if isinstance(environment, ContainerReference):
        return environment.container_id, f"{param}.environment.container_id"
    return environment, f"{param}.environment"


class ShellUse(ContainerUse):
    """The tool within one response."""

    earlier = BY_NAME[HOSTED_SHELL].call
    told = _INSTRUCTIONS
    calls = CALLS

    def offers(self) -> Sequence[Offer]:
        """Offer the function."""
        if self._container is None:
            return []
        client = BY_NAME[SHELL].offer
        assert client is not None
        return [Offer(target=Target(HOSTED_SHELL, SHELL), description=_DESCRIPTION, parameters=client.parameters)]

    async def call(self, name: str, arguments: str, progress: Progress) -> ToolResult:
        """Run the commands, one after another."""
        action = shell_action(fields_of(arguments) or {})
        if not action.commands:
            raise ToolServerError('There are no commands to run: the arguments are {"commands": ["..."]}.')
        if len(action.commands) > MOST_COMMANDS:
            raise ToolServerError(f"At most {MOST_COMMANDS} commands are run in one call.")
        assert self._container is not None
        run = CommandRun(self._container.containers, await self._container.there(), action, progress)
        for index, command in enumerate(action.commands):
            await run.command(index, command)
        fields = {"output": run.ended, "max_output_length": action.max_output_length}
        used = {"code_seconds": run.seconds, "stored_bytes": float(run.stored)}
        return ToolResult(fields=fields, files=run.files, used=used)


class CommandRun:
    """The commands of one call: `ended` says of each what it printed and how it ended, `files` what they have written.

    `seconds` is how long they ran, `stored` how many bytes they have written.
    """

    def __init__(
        self, containers: Containers, container: StoredContainer, action: ShellAction, progress: Progress
    ) -> None:
        self.ended: list[dict[str, object]] = []
        self.files: list[ContainerFile] = []
        self.seconds, self.stored = 0.0, 0
        self._containers = containers
        self._container = container
        self._progress = progress
        seconds = containers.bounds.call_seconds
        self._seconds = seconds if action.timeout_ms is None else min(seconds, action.timeout_ms / 1000)
        self._until = time.monotonic() + CALLS * seconds
        wanted = action.max_output_length
        self._most = MOST_OUTPUT if wanted is None else min(wanted, MOST_ASKED_OUTPUT)

    async def command(self, index: int, command: str) -> None:
        """Run a command, and tell of it."""
        output = CommandOutput(index, self._most, self._progress)
        seconds = min(self._seconds, self._until - time.monotonic())
        outcome: dict[str, object] = {"type": "timeout"}
        if seconds > 0:
            try:
                done = await self._containers.shell(
                    self._container, command, seconds, output.take, most=4 * self._most
                )  # a character has at most four bytes
            except SandboxError as error:
                output.note(str(error))
                outcome = {"type": "exit", "exit_code": _SIGNALLED + 9}
            else:
                outcome = _outcome(done.ended)
                self.seconds += done.seconds
                self.stored += sum(file.size for file in done.files)
                self.files += cited_files(self._container.id, done)
                for note in _notes(done):
                    output.note(note)
        else:
            output.note("The command was not run: the commands before it took all the time that there is.")
        output.end()
        entry: dict[str, object] = {
            "stdout": output.text("stdout"),
            "stderr": output.text("stderr"),
            "outcome": outcome,
        }
        self.ended.append(entry)
        self._progress("done", {"command_index": index, "output": [entry]})


def _outcome(ended: Ended) -> dict[str, object]:
    if ended.timed_out:
        return {"type": "timeout"}
    status = 1 if ended.status is None else ended.status
    return {"type": "exit", "exit_code": status if status >= 0 else _SIGNALLED - status}


def _notes(done: Done) -> list[str]:
    """Return what the model has to know beside what a command printed."""
    ended = done.ended
    fresh = "The container was started anew: files in /mnt/data are there, all others and what ran are gone."
    return [
        *([fresh] if ended.fresh else ()),
        *([f"The command was ended: {ended.died}."] if ended.died is not None else ()),
        *([f"{ended.dropped} more bytes of output are left out."] if ended.dropped else ()),
        *(f"Not kept: {why}." for why in done.left_out[:10]),
    ]


class CommandOutput:
    """What a command prints, told while it comes: at most so many characters of both streams together."""

    def __init__(self, index: int, most: int, progress: Progress) -> None:
        self._index = index
        self._left = most
        self._progress = progress
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {name: decoder(errors="replace") for name in _STREAMS.values()}
        self._texts: dict[str, list[str]] = {name: [] for name in _STREAMS.values()}
        self._cut = 0
        self._untold: list[tuple[str, str]] = []
        self._telling: asyncio.TimerHandle | None = None

    def take(self, stream: int, piece: bytes) -> None:
        """Take in what was printed."""
        name = _STREAMS[stream]
        self._tell(name, self._decoders[name].decode(piece))

    def _tell(self, name: str, text: str) -> None:
        self._cut += max(0, len(text) - self._left)
        text = text[: self._left]
        self._left -= len(text)
        self._add(name, text)

    def _add(self, name: str, text: str) -> None:
        if text:
            self._texts[name].append(text)
            self._untold.append((name, text))
            if self._telling is None:
                self._telling = asyncio.get_running_loop().call_later(TELL_SECONDS, self._show)

    def _show(self) -> None:
        """Tell what has come since the last time, as few events: a command may write single characters."""
        self._telling = None
        untold, self._untold = self._untold, []
        for name, pieces in groupby(untold, key=itemgetter(0)):
            text = "".join(text for _, text in pieces)
            self._progress("delta", {"command_index": self._index, "delta": {name: text}})

    def note(self, text: str) -> None:
        """Add a line of the server's own to what the command wrote as errors."""
        errors = self._texts["stderr"]
        begin = "\n" if errors and not errors[-1].endswith("\n") else ""
        self._add("stderr", f"{begin}[{text}]\n")

    def end(self) -> None:
        """Tell what is left: characters that were broken off, and how much was cut."""
        for name, decoder in self._decoders.items():
            self._tell(name, decoder.decode(b"", final=True))
        if self._cut:
            self.note(f"{self._cut} more characters of output are left out.")
        if self._telling is not None:
            self._telling.cancel()
        self._show()

    def text(self, name: str) -> str:
        """Return all of a stream."""
        return "".join(self._texts[name])
