"""`antiphon` that writes down what it imports: `python -m tests.composition.watched_imports serve …`.

At its end `imports.json` of the current folder has all modules, and those that were imported once `answers` was there, a file
that the test makes: by which thread, and the CPU seconds that it took with all that they import in turn.
"""

from __future__ import annotations

import atexit
import json
import sys
import threading
import time
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

ANSWERS, IMPORTS = Path("answers"), Path("imports.json")

_late: list[tuple[str, bool, float]] = []
_depth = threading.local()
_exec_module = SourceFileLoader.exec_module


def _watched(self: SourceFileLoader, module: ModuleType) -> None:
    depth = _depth.now = getattr(_depth, "now", 0) + 1
    began = time.thread_time()
    try:
        _exec_module(self, module)
    finally:
        _depth.now -= 1
        if depth == 1 and ANSWERS.exists():
            main = threading.current_thread() is threading.main_thread()
            _late.append((module.__name__, main, time.thread_time() - began))


if __name__ == "__main__":
    SourceFileLoader.exec_module = _watched  # type: ignore[method-assign]
    atexit.register(lambda: IMPORTS.write_text(json.dumps({"modules": sorted(sys.modules), "late": _late})))
    from antiphon.cli import main

    main()
