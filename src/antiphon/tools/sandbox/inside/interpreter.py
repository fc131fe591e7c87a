"""The interpreter in a sandbox: runs cells as a REPL does. Variables stay, and the value of the last expression is shown.

What few cells need (tracebacks, sources, coroutines) is imported when they do: each idle container would hold it.
"""

from __future__ import annotations

import builtins
import io
import os
import sys

from antiphon.tools.sandbox.inside.frames import Ignored, receive, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    import socket
    from typing import Any
else:
    import _ast as ast

COROUTINE = 0x80  # inspect.CO_COROUTINE
MOST_IMAGES = 10
MOST_IMAGE = 5 << 20
FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


class Cells:
    """Runs cells one after another, in one name space."""

    def __init__(self) -> None:
        self._space: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
        self._images: list[bytes] = []
        self._left_out = 0
        self._number = 0
        self._space["display"] = self.display
        self._sources: dict[str, str] = {}  # of cells that Python has not been told of

    def run(self, code: str) -> tuple[bool, list[bytes]]:
        """Run a cell; return whether it ended without an exception, and the pictures that it showed."""
        self._number += 1
        self._images, self._left_out = [], 0
        name = f"<cell {self._number}>"
        self._sources[name] = code
        if "linecache" in sys.modules:
            self.show_sources()
        failed = False
        try:
            self._run(code, name)
        except SystemExit:
            pass
        except BaseException as error:
            failed = True
            self._print_traceback(error, name)
        try:
            self._take_figures()
        except BaseException as error:
            failed = True
            self._print_traceback(error, name)
        if self._left_out:
            print(f"[{self._left_out} pictures are left out: at most {MOST_IMAGES}, of {MOST_IMAGE >> 20} MiB each]")
        return not failed, self._images

    def show_sources(self) -> None:
        """Tell Python the lines of the cells, for tracebacks and `inspect`."""
        import linecache

        for name, code in self._sources.items():
            linecache.cache[name] = (len(code), None, code.splitlines(True), name)
        self._sources.clear()

    def _print_traceback(self, error: BaseException, name: str) -> None:
        """Print a traceback from the cell on; what is above it is not the user's."""
        step = error.__traceback__
        while step is not None and step.tb_frame.f_code.co_filename != name:
            step = step.tb_next
        try:
            import traceback

            self.show_sources()
            traceback.print_exception(type(error), error, step)
        except BaseException:
            sys.stderr.write(f"{type(error).__name__}\n")

    def _run(self, code: str, name: str) -> None:
        tree: Any = compile(code, name, "exec", ast.PyCF_ONLY_AST)
        last = None
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            last = tree.body.pop()
        if tree.body:
            self._evaluate(compile(tree, name, "exec", FLAGS))
        if isinstance(last, ast.Expr):
            value = self._evaluate(compile(ast.Expression(last.value), name, "eval", FLAGS))
            if value is not None:
                self._space["_"] = value
                self.display(value)

    def _evaluate(self, code: Any) -> Any:
        value = eval(code, self._space)  # noqa: S307 (it is what this is for)
        if code.co_flags & COROUTINE:
            import asyncio

            return asyncio.run(value)
        return value

    def display(self, *values: Any) -> None:
        """Show values: as a picture where they are one, else as text."""
        for value in values:
            draw = getattr(type(value), "_repr_png_", None)
            picture = draw(value) if callable(draw) else None
            if isinstance(picture, bytes):
                self._keep(picture)
            else:
                print(repr(value))

    def _keep(self, picture: bytes) -> None:
        if len(self._images) < MOST_IMAGES and len(picture) <= MOST_IMAGE:
            self._images.append(picture)
        else:
            self._left_out += 1

    def _take_figures(self) -> None:
        """Take what matplotlib has drawn, where it is in use."""
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot is None:
            return
        for number in pyplot.get_fignums():
            target = io.BytesIO()
            pyplot.figure(number).savefig(target, format="png", bbox_inches="tight")
            self._keep(target.getvalue())
        pyplot.close("all")


def _open_streams() -> None:
    os.dup2(1, 2)
    for name, number in (("stdout", 1), ("stderr", 2)):
        raw = open(number, "wb", closefd=False)  # noqa: SIM115 (it stays open)
        stream = io.TextIOWrapper(raw, "utf-8", "backslashreplace", line_buffering=True)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def replace_system() -> None:
    """Give `os.system` a process with memory of its own.

    sandlock (0.9.0) writes the path that a process starts into its memory; that of C's `system` is its caller's, too, where the
    name of the shell stands: it works once.
    """

    def system(command: Any) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                os.execve("/bin/sh", ["sh", "-c", os.fsdecode(command)], dict(os.environ))  # noqa: S606 (what it is for)
            finally:
                os._exit(127)
        return os.waitpid(pid, 0)[1]

    os.system = system


def serve(connection: socket.socket) -> None:
    """Run the cells that come over a connection, until it ends."""
    _open_streams()
    cells = Cells()
    own = os.getpid()
    while True:
        try:
            message, _ = receive(connection)
        except EOFError:
            return
        ok, images = cells.run(message["code"])
        if os.getpid() != own:  # the cell has forked, and this is the child
            os._exit(0)
        for stream in (sys.stdout, sys.stderr):
            with Ignored(Exception):  # the cell may have put anything there
                stream.flush()
        send(connection, {"ok": ok, "images": [len(image) for image in images]}, b"".join(images))
