"""The real command as a subprocess, with nothing of this machine's own settings."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import msgspec


class Outcome(msgspec.Struct, frozen=True):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """Return an environment whose home is `folder`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ANTIPHON_", "XDG_", "HF_", "HUGGINGFACE_", "LLAMA_"))
    }
    return {**kept, "HOME": str(folder), **variables}


async def antiphon(folder: Path, *arguments: str, stdin: str = "", seconds: float = 30, **variables: str) -> Outcome:
    """Run `antiphon …` in a folder to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "antiphon",
        *arguments,
        cwd=folder,
        env=environment(folder, **variables),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(stdin.encode()), seconds)
    assert process.returncode is not None
    return Outcome(process.returncode, out.decode(), err.decode())
