"""What an attack finds, and where it is written down."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

SHOWN = 400  # characters of an input or answer that are printed


class Finding(NamedTuple):
    """An invariant that was broken: by what, and what came. `case` tells how to try it again."""

    part: str
    fault: str
    case: str
    sent: bytes
    came: str


class Report:
    """The findings of a run, at most `each` of a kind; written to `folder` with the whole input."""

    def __init__(self, folder: Path, each: int = 5) -> None:
        self.folder = folder
        self.findings: list[Finding] = []
        self.kinds: Counter[tuple[str, str]] = Counter()
        self.figures: dict[str, object] = {}
        self._each = each
        self._began = time.monotonic()

    def found(self, part: str, fault: str, case: str = "", sent: bytes = b"", came: str = "") -> None:
        """Note a finding; the input goes to a file."""
        self.kinds[part, fault] += 1
        if self.kinds[part, fault] > self._each:
            return
        finding = Finding(part, fault, case, sent, came)
        self.findings.append(finding)
        name = f"{part}-{len(self.findings):03}"
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{name}.bin").write_bytes(sent)
        told = {"part": part, "fault": fault, "case": case, "came": came[:20_000]}
        (self.folder / f"{name}.json").write_text(json.dumps(told, indent=1))
        self.say(f"FOUND {part}: {fault} [{case}]")
        self.say(f"   sent {_short(sent)}")
        self.say(f"   came {came[:SHOWN]!r}")

    def figure(self, name: str, value: object) -> None:
        """Note a measurement for the summary."""
        self.figures[name] = value
        self.say(f"{name}: {value}")

    def say(self, text: str) -> None:
        """Print a line of progress with the time since the start."""
        print(f"[{time.monotonic() - self._began:7.1f} s] {text}", file=sys.stderr, flush=True)

    def summary(self) -> int:
        """Print what was measured and found; return the exit status."""
        for name, value in self.figures.items():
            print(f"{name}: {value}")
        for (part, fault), count in sorted(self.kinds.items()):
            print(f"FOUND {count} x {part}: {fault}")
        print(f"{sum(self.kinds.values())} findings" + (f", inputs in {self.folder}" if self.findings else ""))
        return 1 if self.kinds else 0


def _short(sent: bytes) -> str:
    shown = repr(sent[:SHOWN])[1:]
    return shown if len(sent) <= SHOWN else f"{shown} … ({len(sent)} bytes)"
