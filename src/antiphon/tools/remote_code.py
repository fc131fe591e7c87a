"""RemoteSandboxes: an MCP server whose tool runs Python stands for a sandbox; the interpreter of other sandboxes is sent along.

The server that is named has to enclose what it runs: each connection by itself, and away from this machine. Probes try both.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import tempfile
from collections.abc import Callable
from importlib import resources
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.errors import InvalidRequest
from antiphon.tools.base import McpTool, ToolServer, ToolServerError, ToolServers
from antiphon.tools.sandbox.base import (
    BEING_TRIED,
    FOLDER,
    SKILLS,
    Ended,
    Output,
    SandboxError,
    SandboxFileError,
)

MARK = "antiphon-answer:"
MODULES = ("frames", "files", "interpreter", "remote")
PACKAGE = "antiphon.tools.sandbox.inside"
STATE = "antiphon_remote_cells"
WRITTEN, READ = 256 << 10, 48 << 10  # bytes of a file in one call: tools bound what they say
SPARE_SECONDS = 15.0  # of a call, beyond the code's own
PROBE_SECONDS = 10.0
ANSWER_SECONDS = 5.0  # for a server to say that it is there
MOST_OUTPUT = 50_000
MOST_CHANGED = 1000

_OPENING = """
import json as _json, sys as _sys, types as _types, base64 as _base64
for _name, _source in _json.loads(_base64.b64decode({sources!r})):
    _module = _sys.modules[_name] = _types.ModuleType(_name)
    exec(compile(_source, _name, "exec"), _module.__dict__)
_sys.modules[{state!r}] = _sys.modules[{remote!r}].RemoteCells({folder!r}, {skills!r})
"""
_ASKING = """
import json as _json, sys as _sys, base64 as _base64
_sys.modules[{state!r}].answer(_json.loads(_base64.b64decode({wish!r})))
"""


class _Arguments(msgspec.Struct):
    properties: dict[str, Raw] = {}
    required: list[str] = []


_schema = msgspec.json.Decoder(_Arguments)


class RemoteSandbox:
    """A connection to the server. One wish at a time."""

    def __init__(self, server: ToolServer, tool: str, argument: str) -> None:
        self.version = ""
        self.alive = True
        self._server = server
        self._tool = tool
        self._argument = argument
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Send the interpreter, and ask for its version. Raises SandboxError."""
        folder = resources.files(PACKAGE)
        parents = ["antiphon", "antiphon.tools", "antiphon.tools.sandbox", PACKAGE]
        modules = [(f"{PACKAGE}.{name}", folder.joinpath(f"{name}.py").read_text()) for name in MODULES]
        sources = _packed([*((name, "") for name in parents), *modules])
        names = {"state": STATE, "remote": f"{PACKAGE}.remote", "folder": FOLDER, "skills": SKILLS}
        asking = _ASKING.format(state=STATE, wish=_packed({"do": "version"}))
        async with self._turn:
            text = await self._say(_OPENING.format(sources=sources, **names) + asking, SPARE_SECONDS)
        said = _answer(text)
        if said is None:
            await self.close()
            lines = text.strip().splitlines()
            raise SandboxError(f"it cannot run the interpreter: {lines[-1][:200] if lines else 'it says nothing'}")
        self.version = str(said.get("version", ""))[:40]

    async def answers(self) -> bool:
        """Tell whether the server is there, and has its state."""
        try:
            await self._ask({"do": "version"}, ANSWER_SECONDS)
        except (SandboxError, TimeoutError):
            return False
        return True

    async def run(self, code: str, seconds: float, output: Output, *, memory: int | None = None) -> Ended:
        """Run Python. How much memory there is, the server decides."""
        wish = {"do": "run", "code": code, "seconds": seconds, "most": MOST_OUTPUT}
        return await self._run(wish, seconds, output)

    async def shell(self, command: str, seconds: float, output: Output, *, most: int | None = None) -> Ended:
        """Run a command."""
        wish = {"do": "shell", "command": command, "seconds": seconds, "most": min(MOST_OUTPUT, most or MOST_OUTPUT)}
        return await self._run(wish, seconds, output)

    async def _run(self, wish: dict[str, Any], seconds: float, output: Output) -> Ended:
        try:
            said = await self._ask(wish, seconds + SPARE_SECONDS)
        except TimeoutError:
            return Ended(timed_out=True)
        try:
            for number, name in ((1, "out"), (2, "err")):
                if said[name]:
                    output(number, str(said[name]).encode(errors="replace")[: 4 * MOST_OUTPUT])
            status = said.get("exit")
            return Ended(
                ok=bool(said.get("ok")) or status == 0,
                status=None if status is None else int(status),
                timed_out=bool(said.get("timed_out")),
                dropped=int(said["dropped"]),
                images=[base64.b64decode(image) for image in said.get("images", [])[:10]],
                changed=[(str(path), int(size)) for path, size in said["changed"][:MOST_CHANGED]],
                gone=[str(path) for path in said["gone"][:MOST_CHANGED]],
                odd=int(said["odd"]),
            )
        except (KeyError, TypeError, ValueError):
            raise await self._nonsense() from None

    async def write(self, path: str, content: bytes) -> None:
        """Write a file."""
        await self._write(path, content, 0)

    async def install(self, path: str, content: bytes, *, executable: bool = False) -> None:
        """Write a file of a skill."""
        await self._write(path, content, 0o755 if executable else 0o644)

    async def _write(self, path: str, content: bytes, mode: int) -> None:
        for start in range(0, max(len(content), 1), WRITTEN):
            piece = base64.b64encode(content[start : start + WRITTEN]).decode()
            await self._file({"do": "write", "path": path, "content": piece, "more": start > 0, "mode": mode})

    async def read(self, path: str, most: int) -> bytes:
        """Read a file of at most so many bytes."""
        parts = bytearray()
        while True:
            said = await self._file({"do": "read", "path": path, "offset": len(parts), "size": READ})
            try:
                piece = base64.b64decode(said["content"])
            except (KeyError, TypeError, ValueError):
                raise await self._nonsense() from None
            if not piece:
                return bytes(parts)
            parts += piece
            if len(parts) > most:
                raise SandboxFileError(f"'{path}' has more than {most} bytes")

    async def remove(self, path: str) -> None:
        """Delete a file."""
        await self._file({"do": "remove", "path": path})

    async def close(self) -> None:
        """Disconnect."""
        self.alive = False
        await self._server.close()

    async def _file(self, wish: dict[str, Any]) -> dict[str, Any]:
        try:
            said = await self._ask(wish, 2 * SPARE_SECONDS)
        except TimeoutError:
            raise SandboxError("The server that runs code does not answer.") from None
        if "error" in said:
            raise SandboxFileError(f"'{wish['path']}': {said['error']}"[:500])
        return said

    async def _ask(self, wish: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Have a wish done. Raises SandboxError, TimeoutError."""
        async with self._turn:
            text = await self._say(_ASKING.format(state=STATE, wish=_packed(wish)), seconds)
        said = _answer(text)
        if said is None:
            raise await self._nonsense()
        return said

    async def _say(self, program: str, seconds: float) -> str:
        """Have a program run; return what the tool says. What does not come to its end ends the connection."""
        try:
            async with asyncio.timeout(seconds):
                output = await self._server.call(self._tool, json.dumps({self._argument: program}))
        except ToolServerError as error:
            await self.close()
            raise SandboxError(f"The server that runs code fails: {error}"[:500]) from None
        except BaseException:
            await self.close()
            raise
        return output.text

    async def _nonsense(self) -> SandboxError:
        await self.close()
        return SandboxError("The server that runs code has lost its state, or gives no answer that can be read.")


class RemoteSandboxes:
    """Connections to the tool of a configured MCP server, as `Sandboxes` starts sandboxes of this machine.

    `servers` gives the MCP servers; `tool` is `LABEL/TOOL`.
    """

    def __init__(self, servers: Callable[[], ToolServers], tool: str) -> None:
        self.off = ""
        self._servers = servers
        self._label, _, self._tool = tool.partition("/")
        self._argument = ""
        self._version = ""
        self._looking: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Return the kind that is used."""
        return f"mcp:{self._label}" if self._version else ""

    @property
    def condition(self) -> str:
        """Say which sandbox is used, for people."""
        if self._version:
            return f"{self.name}, Python {self._version}"
        return f"off: {self.off}" if self.off else BEING_TRIED

    def begin(self, told: Callable[[str], object] | None = None) -> None:
        """Begin to try it; where it does not hold, `told` is called with the reason. Idempotent."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
            if told is not None:
                self._looking.add_done_callback(lambda _: told(self.off) if self.off else None)

    async def usable(self) -> str:
        """Say why there are none, once that is known; "" where there are."""
        self.begin()
        if self._looking is not None:
            await asyncio.shield(self._looking)
        return self.off

    async def start(self) -> RemoteSandbox:
        """Return a new connection, with the interpreter on its other side. Raises SandboxError."""
        if reason := await self.usable():
            raise SandboxError(reason)
        return await self._started()

    def warm(self) -> None:
        """Do nothing: what the server keeps ready is its own matter."""

    async def close(self) -> None:
        """End the trying."""
        if self._looking is not None:
            self._looking.cancel()

    async def _started(self) -> RemoteSandbox:
        declared = McpTool(server_label=self._label, require_approval="never")
        servers = self._servers()
        try:
            await servers.check(declared, "tools")
            server = servers.connect(declared, session=True)
            if not self._argument:
                self._argument = await self._argument_of(server)
        except (ToolServerError, InvalidRequest) as error:
            raise SandboxError(error.message if isinstance(error, InvalidRequest) else str(error)) from None
        sandbox = RemoteSandbox(server, self._tool, self._argument)
        await sandbox.open()
        return sandbox

    async def _argument_of(self, server: ToolServer) -> str:
        """Return the name of the argument that takes the code: `code`, or the only one that has to be given."""
        for tool in await server.list():
            if tool.name == self._tool:
                try:
                    schema = _schema.decode(tool.input_schema)
                except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                    raise ToolServerError(f"the schema of its tool '{self._tool}' cannot be read") from error
                one = len(schema.required) == 1 and "code" not in schema.properties
                return schema.required[0] if one else "code"
        raise ToolServerError(f"it has no tool '{self._tool}'")

    async def _look(self) -> None:
        sandboxes: list[RemoteSandbox] = []
        try:
            for _ in range(2):
                sandboxes.append(await self._started())
            self.off = await lets_through(*sandboxes)
            self._version = "" if self.off else sandboxes[0].version
        except (SandboxError, SandboxFileError, TimeoutError) as error:
            self.off = str(error) or "it does not answer"
        finally:
            for sandbox in sandboxes:
                await sandbox.close()
        self.off = f"mcp:{self._label}/{self._tool}: {self.off}" if self.off else ""


async def lets_through(first: RemoteSandbox, second: RemoteSandbox) -> str:
    """Say what two connections let through: each other's files and variables, this machine's files and ports; "" for nothing."""
    reached: list[object] = []

    async def reach(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(writer)
        writer.close()

    word = secrets.token_hex(8)
    async with await asyncio.start_server(reach, "127.0.0.1", 0) as listener:
        with tempfile.NamedTemporaryFile(prefix="antiphon-probe-") as file:
            port = listener.sockets[0].getsockname()[1]
            await first.write(word, b"x")
            await first.run(f"probe_{word} = 1", PROBE_SECONDS, lambda *_: None)
            tried = (
                ("it keeps no variables between calls", first, f"'probe_{word}' not in globals()"),
                ("connections share variables", second, f"'probe_{word}' in globals()"),
                ("connections share files", second, f"__import__('os').path.exists('{FOLDER}/{word}')"),
                ("it has the files of this machine", second, f"__import__('os').path.exists('{file.name}')"),
            )
            found = [name for name, sandbox, code in tried if await _said(sandbox, code) != "False"]
        await _said(second, f"__import__('socket').create_connection(('127.0.0.1', {port}), 2)")
        if reached:
            found.append("it reaches this machine's ports")
    await first.remove(word)
    return f"it lets through: {', '.join(found)}" if found else ""


async def _said(sandbox: RemoteSandbox, code: str) -> str:
    pieces: list[bytes] = []
    await sandbox.run(code, PROBE_SECONDS, lambda _, piece: pieces.append(piece))
    return b"".join(pieces).decode(errors="replace").strip()


def _answer(text: str) -> dict[str, Any] | None:
    """Return the answer in what a tool says, None where there is none."""
    found = [line for line in text.splitlines() if line.startswith(MARK)]
    try:
        said = json.loads(base64.b64decode(found[-1].removeprefix(MARK)))
    except (IndexError, ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _packed(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()
