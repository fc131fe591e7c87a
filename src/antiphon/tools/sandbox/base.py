"""The seam to sandboxes: SandboxKind says how one is started, Sandbox is one that runs; what it gives, its errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from antiphon.errors import AntiphonError

GIB = 1 << 30
FOLDER = "/mnt/data"
"""Where the files of a container are, for the code that runs in it."""


SKILLS = "/home/oai/skills"
"""Where the skills of a container are, each in a folder of its own."""

BEING_TRIED = "being tried"
"""The condition of sandboxes of which it is not known yet whether one holds."""


class SandboxError(AntiphonError):
    """A sandbox cannot be started, or has ended in the midst of something; the message may be shown to the client."""


class SandboxFileError(AntiphonError):
    """A file of a sandbox cannot be read or written."""


class SandboxLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one sandbox may take: bytes of memory, bytes of each of its folders, processes."""

    memory: int = GIB
    disk: int = 256 << 20
    processes: int = 64


class Interior(msgspec.Struct, frozen=True, kw_only=True):
    """The Python inside a sandbox: its path, and the folders besides `/usr` that it needs."""

    python: str
    folders: tuple[str, ...] = ()


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """How the first process of a sandbox is started.

    `own_processes`: it sees the processes of its sandbox alone. `user` is the uid it runs under, None for the server's own.
    `keep` are open files that the command needs; they are closed once it runs. `folder` is where the files are. `stdio`: it
    speaks over its standard input and output. `image`: the engine that runs it counts its processes, and the Python is that of
    an image. `filter`: system calls that its first process is to refuse, as base64; the process around it becomes `user` itself,
    keeps signals inside, and ends all that is left where the server lets go of it. `end` is the command that removes the rest.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    own_processes: bool
    user: int | None = None
    keep: Sequence[int] = ()
    folder: str = FOLDER
    stdio: bool = False
    image: bool = False
    filter: str = ""
    end: Sequence[str] = ()


NOTHING_KNOWN: Mapping[str, str] = {}


class SandboxKind(Protocol):
    """One way to enclose processes. `known`: probes that it lets through by its nature, and what that means."""

    name: str
    known: Mapping[str, str]

    def unusable(self) -> str | None:
        """Say why it cannot be used here, as far as that is known without trying."""
        ...

    def command(self, interior: Interior, limits: SandboxLimits, program: Sequence[str], socket: int) -> Command:
        """Return how to start `program` (arguments of the Python inside) with one open socket. Raises SandboxError."""
        ...


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a call in a sandbox ended.

    `ok`: without an exception, or with status 0. `status`: of a shell command. `timed_out`, `over_memory`, `died` (of what):
    why it was cut short. `fresh`: the variables of the calls before were gone. `dropped`: bytes of output that were too many.
    `changed` are files and their sizes, `gone` those deleted, `odd` the number of those that cannot be kept.
    """

    ok: bool = False
    status: int | None = None
    timed_out: bool = False
    over_memory: bool = False
    died: str | None = None
    fresh: bool = False
    dropped: int = 0
    images: Sequence[bytes] = ()
    changed: Sequence[tuple[str, int]] = ()
    gone: Sequence[str] = ()
    odd: int = 0


Output = Callable[[int, bytes], None]
"""Takes a piece of output: 1 is what code prints, or a command's stdout; 2 a command's stderr."""


class Sandbox(Protocol):
    """A sandbox that runs. One thing at a time: each method waits for those called before."""

    version: str

    @property
    def alive(self) -> bool:
        """Tell whether it runs still."""
        ...

    async def answers(self) -> bool:
        """Tell whether it is there still with all that calls have left in it: it is asked, where nothing else can tell."""
        ...

    async def run(self, code: str, seconds: float, output: Output, *, memory: int | None = None) -> Ended:
        """Run Python, as a REPL does. Raises SandboxError where the sandbox itself ends."""
        ...

    async def shell(self, command: str, seconds: float, output: Output, *, most: int | None = None) -> Ended:
        """Run a command with `/bin/sh`. Raises SandboxError where the sandbox itself ends."""
        ...

    async def write(self, path: str, content: bytes) -> None:
        """Write a file, below the folder. Raises SandboxFileError, SandboxError."""
        ...

    async def install(self, path: str, content: bytes, *, executable: bool = False) -> None:
        """Write a file of a skill, below the folder of skills. Raises SandboxFileError, SandboxError."""
        ...

    async def read(self, path: str, most: int) -> bytes:
        """Read a file of at most so many bytes. Raises SandboxFileError, SandboxError."""
        ...

    async def remove(self, path: str) -> None:
        """Delete a file. Raises SandboxFileError, SandboxError."""
        ...

    async def close(self) -> None:
        """End it, with all its processes. Idempotent."""
        ...


class SandboxSource(Protocol):
    """Starts sandboxes of whichever kind holds on this machine."""

    @property
    def name(self) -> str:
        """Return the kind that is used, "" where there is none."""
        ...

    async def start(self) -> Sandbox:
        """Return a new sandbox. Raises SandboxError."""
        ...

    def warm(self) -> None:
        """Have one ready for the next start."""
        ...

    async def usable(self) -> str:
        """Say why there are none, once that is known; "" where there are."""
        ...
