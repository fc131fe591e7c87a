"""What runs on the other side of an MCP server's tool: cells, commands and files, one wish at a time, each answered by a line."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import signal
import subprocess
import sys

from antiphon.tools.sandbox.inside.files import Folder
from antiphon.tools.sandbox.inside.interpreter import Cells

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MARK = "antiphon-answer:"
"""Begins the line of the answer; what a tool says before and behind it is its own."""


class TooLong(BaseException):
    """Ends a cell that takes too long, and is raised again each second as long as the cell goes on."""

    __module__ = "__main__"


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[list[int]]:
    """Raise TooLong in what takes longer, where system and thread allow it; gives a list with a number if it was raised."""
    raised: list[int] = []
    over = False

    def end(number: int, frame: object) -> None:
        if not over:
            raised.append(number)
            raise TooLong

    try:
        before = signal.signal(signal.SIGALRM, end)
    except (AttributeError, ValueError):
        yield raised
        return
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
            yield raised
        finally:  # a signal that comes before the next line is over leaves the timer to the outer one
            over = True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class RemoteCells:
    """Cells that keep their variables, a folder of files, and one of skills."""

    def __init__(self, folder: str, skills: str) -> None:
        for path in (folder, skills):
            os.makedirs(path, exist_ok=True)
        os.chdir(folder)
        self._folder, self._skills = Folder(folder), Folder(skills)
        self._folder.changes()
        self._cells = Cells()

    def answer(self, wish: dict[str, Any]) -> None:
        """Do what is wished for, and say what came of it."""
        try:
            said = getattr(self, "_do_" + wish["do"])(wish)
        except (OSError, ValueError) as error:
            said = {"error": str(getattr(error, "strerror", None) or error) or type(error).__name__}
        print("\n" + MARK + base64.b64encode(json.dumps(said).encode()).decode(), flush=True)

    def _do_run(self, wish: dict[str, Any]) -> dict[str, Any]:
        said = io.StringIO()
        ok, images = False, list[bytes]()
        with (
            contextlib.suppress(TooLong),
            limited(wish["seconds"]) as limit,
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
        ):
            ok, images = self._cells.run(wish["code"])
        pictures = [base64.b64encode(image).decode() for image in images]
        ended = {"ok": ok and not limit, "timed_out": bool(limit), "images": pictures}
        return {**ended, **self._ended(said.getvalue(), "", wish["most"])}

    def _do_shell(self, wish: dict[str, Any]) -> dict[str, Any]:
        try:
            done = subprocess.run(  # noqa: S603 (it is what this is for)
                ["/bin/sh", "-c", wish["command"]],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=wish["seconds"],
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            out, err = ((text or b"").decode(errors="replace") for text in (error.stdout, error.stderr))
            return {"timed_out": True, **self._ended(out, err, wish["most"])}
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        return {"exit": done.returncode, **self._ended(out, err, wish["most"])}

    def _ended(self, out: str, err: str, most: int) -> dict[str, Any]:
        changed, gone, odd = self._folder.changes()
        dropped = max(0, len(out) - most) + max(0, len(err) - most)
        texts = {"out": out[:most], "err": err[:most], "dropped": dropped}
        return {**texts, "changed": changed, "gone": gone, "odd": odd}

    def _do_write(self, wish: dict[str, Any]) -> dict[str, Any]:
        folder, mode = (self._skills, wish["mode"]) if wish["mode"] else (self._folder, 0o644)
        folder.write(wish["path"], base64.b64decode(wish["content"]), wish["more"], mode)
        return {}

    def _do_read(self, wish: dict[str, Any]) -> dict[str, Any]:
        return {"content": base64.b64encode(self._folder.read(wish["path"], wish["offset"], wish["size"])).decode()}

    def _do_remove(self, wish: dict[str, Any]) -> dict[str, Any]:
        self._folder.remove(wish["path"])
        return {}

    def _do_version(self, wish: dict[str, Any]) -> dict[str, Any]:
        return {"version": sys.version.split()[0]}
