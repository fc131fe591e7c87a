"""`scripts/bench`: measure this checkout, print it beside the peers, write `docs/performance.md`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from pathlib import Path

from bench import figures, page
from bench.lab import ROOT, Figures, Lab, laboratory

REPEATED = ("ordinary", "stored", "background", "workers")
PARTS = ("ordinary", "stored", "background", "idle", "many", "workers", "growth", "chain")


def main() -> None:
    """Parse the arguments, measure, tell."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts to measure: {', '.join(PARTS)}")
    parser.add_argument("--keep", type=Path, default=ROOT / "bench/results/figures.json", help="where figures are kept")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/performance.md", help="the page to write")
    arguments = parser.parse_args()
    found: Figures = json.loads(arguments.keep.read_text()) if arguments.keep.exists() else {}
    with laboratory() as lab:
        os.sched_setaffinity(0, {1 % (os.cpu_count() or 1)})
        for part in arguments.only.split(","):
            before = os.getloadavg()[0]
            found |= measure(part, lab, arguments.repeats)
            how = {"repeats": str(arguments.repeats if part in REPEATED else 1), "commit": commit()}
            how["load"] = f"{before:.0f} → {os.getloadavg()[0]:.0f}"
            found.setdefault("measured", {})[part] = how
            arguments.keep.parent.mkdir(parents=True, exist_ok=True)
            arguments.keep.write_text(json.dumps(found, indent=1))
    print(page.goals(found))
    if "C" not in found:
        return
    print(page.table(found))
    arguments.page.write_text(page.page(found, machine(), "scripts/bench"))


def measure(part: str, lab: Lab, repeats: int) -> Figures:
    """Run one part and say what came out."""
    function = vars(figures)[part]
    found: Figures = function(lab, repeats) if part in REPEATED else function(lab)
    print(
        part,
        {name: value for name, value in found.items() if not isinstance(value, dict) or "runs" not in value},
        flush=True,
    )
    return found


def commit() -> str:
    """Name the checkout: `BENCH_COMMIT` where another one is measured than the harness stands in."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return os.environ.get("BENCH_COMMIT") or subprocess.check_output(command, cwd=ROOT, text=True).strip()


def machine() -> str:
    """Describe the machine in general words."""
    return f"{os.cpu_count()} cores ({platform.machine()}, {platform.system()}), Python {platform.python_version()}"


if __name__ == "__main__":
    main()
