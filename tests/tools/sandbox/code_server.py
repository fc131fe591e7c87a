"""A small MCP server that runs Python, made with the official package: `python code_server.py stdio|PORT CONTROL`.

Each session has an interpreter of its own, enclosed by bubblewrap. What the file CONTROL says makes the server misbehave:
`garbage` and `huge` are answers, `silent` gives none, `error` fails, `exit` ends it. It knows nothing of Antiphon.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from mcp.server.mcpserver import Context, MCPServer

INTERPRETER = """
import contextlib, io, json, sys, traceback
space = {"__name__": "__main__"}
for line in sys.stdin:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            exec(compile(json.loads(line), "<sent>", "exec"), space)
        except BaseException:
            traceback.print_exc()
    print(json.dumps(said.getvalue()), file=sys.__stdout__, flush=True)
"""
ENCLOSED = [
    *(
        "bwrap",
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
        "--setenv",
        "PATH",
        "/usr/bin:/bin",
    ),
    *("--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),
    *(word for name in ("bin", "lib", "lib64") for word in ("--symlink", f"usr/{name}", f"/{name}")),
    *("/usr/bin/python3", "-I", "-u", "-c", INTERPRETER),
]
LIMIT = 64 << 20
CONTROL = Path(sys.argv[2])

server = MCPServer("code")
sessions: dict[str, asyncio.subprocess.Process] = {}


def wished() -> str:
    """Return how to misbehave."""
    return CONTROL.read_text() if CONTROL.exists() else ""


@server.tool()
async def python(code: str, ctx: Context) -> str:
    """Run Python; variables stay as long as the session does."""
    mode = wished()
    if mode == "exit":
        os._exit(7)
    if mode == "silent":
        await asyncio.sleep(600)
    if mode == "error":
        raise RuntimeError("out of order")
    if mode:
        return {
            "huge": "x" * (8 << 20),
            "garbage": "antiphon-answer:" + "\x00\udcff".encode("utf-8", "replace").decode(),
        }[mode]
    request = ctx.request_context.request
    session = "" if request is None else request.headers.get("mcp-session-id", os.urandom(8).hex())
    if session not in sessions:
        pipe = asyncio.subprocess.PIPE
        sessions[session] = await asyncio.create_subprocess_exec(*ENCLOSED, stdin=pipe, stdout=pipe, limit=LIMIT)
    process = sessions[session]
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(code).encode() + b"\n")
    await process.stdin.drain()
    answer = await process.stdout.readline()
    return json.loads(answer) if answer else "the interpreter has ended"


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run("stdio")
    else:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
