"""`scripts/bench`: measure this checkout, print it beside the peers, write `docs/performance.md`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
from pathlib import Path

from bench import beside, figures, instructions, page, scale, turns
from bench.harness import bench as harness
from bench.lab import ROOT, Figures, Lab, laboratory

REPEATED = ("ordinary", "messages", "passed", "stored", "background", "workers")
PARTS = (
    "ordinary", "memory", "messages", "passed", "stored", "background", "idle", "many", "workers", "replicas", "growth", "chain",
)  # fmt: skip


def main() -> None:
    """Parse the arguments, measure, tell."""
    arguments = _arguments()
    if arguments.instructions:
        count(arguments.instructions, arguments.against, arguments.profiles, caches=arguments.caches)
        return
    found: Figures = json.loads(arguments.keep.read_text()) if arguments.keep.exists() else {}
    with laboratory() as lab:
        os.sched_setaffinity(0, {1 % (os.cpu_count() or 1)})
        if arguments.against:
            found |= turns.against(lab, commit(arguments.against), arguments.repeats, arguments.loads or turns.LOADS)
        if arguments.python and not arguments.beside:
            found |= turns.on_python(lab, arguments.python, arguments.repeats, arguments.loads or turns.LOADS)
        if arguments.beside:
            found |= beside.beside(
                lab, arguments.beside, arguments.loads or beside.LOADS, arguments.repeats, arguments.python
            )
            _keep(found, arguments.keep)
        alone = arguments.against or arguments.python or arguments.beside
        for part in [] if alone else arguments.only.split(","):
            before = os.getloadavg()[0]
            found |= measure(part, lab, arguments.repeats)
            how = {"repeats": str(arguments.repeats if part in REPEATED else 1), "commit": commit()}
            how["load"] = f"{before:.0f} → {os.getloadavg()[0]:.0f}"
            found.setdefault("measured", {})[part] = how
            _keep(found, arguments.keep)
    if arguments.against:
        _keep(found, arguments.keep)
        print(turns.table(found["against"]))
        return
    if arguments.python and not arguments.beside:
        _keep(found, arguments.keep)
        print(turns.table(found["python"]))
    print(page.goals(found))
    if "C" not in found:
        arguments.page.write_text(page.renewed(arguments.page.read_text(), found))
        return
    print(page.table(found))
    arguments.page.write_text(page.page(found, machine(), "scripts/bench"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each load; by turns, pairs (15 or more)")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts to measure: {', '.join(PARTS)}")
    parser.add_argument("--keep", type=Path, default=ROOT / "bench/results/figures.json", help="where figures are kept")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/performance.md", help="the page to write")
    parser.add_argument(
        "--against", default="", metavar="COMMIT", help="compare with a commit by turns, and nothing else"
    )
    parser.add_argument(
        "--python",
        default="",
        metavar="PROGRAM",
        help="compare with another Python by turns, and nothing else; with --beside: one more server, on that Python",
    )
    parser.add_argument(
        "--loads",
        default="",
        help="with --against and --python: loads, as of --instructions; with --beside: of the harness",
    )
    parser.add_argument(
        "--beside",
        nargs="?",
        const=beside.SERVERS,
        metavar="SERVERS",
        help="compare with other servers by turns, and nothing else (bench/beside.py tells how they are installed)",
    )
    parser.add_argument(
        "--instructions",
        nargs="?",
        const=instructions.LOADS,
        metavar="LOADS",
        help="count instructions with callgrind (apt-get install valgrind), and nothing else; with --against, of both",
    )
    parser.add_argument(
        "--caches", action="store_true", help="with --instructions: misses of a core's own caches, simulated, instead"
    )
    parser.add_argument("--profiles", type=Path, help="a folder for callgrind's files (callgrind_annotate reads them)")
    return parser.parse_args()


def count(loads: str, against: str, profiles: Path | None, *, caches: bool) -> None:
    """Count instructions of this checkout, and of a commit before it; or misses of caches."""
    harness.build()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        sources = {"before": turns.unpacked(commit(against), Path(folder) / "before")} if against else {}
        print(
            instructions.table(instructions.counted(loads, {**sources, "now": ROOT / "src"}, profiles, caches=caches))
        )


def _keep(found: Figures, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1))


def measure(part: str, lab: Lab, repeats: int) -> Figures:
    """Run one part and say what came out."""
    function = (vars(figures) | vars(scale))[part]
    found: Figures = function(lab, repeats) if part in REPEATED else function(lab)
    print(
        part,
        {name: value for name, value in found.items() if not isinstance(value, dict) or "runs" not in value},
        flush=True,
    )
    return found


def commit(name: str = "HEAD") -> str:
    """Return a commit's short name. `BENCH_COMMIT` names the checkout where another one is measured than this."""
    command = ["git", "rev-parse", "--short", "--verify", name]
    return (name == "HEAD" and os.environ.get("BENCH_COMMIT")) or subprocess.check_output(
        command, cwd=ROOT, text=True
    ).strip()


def machine() -> str:
    """Describe the machine in general words."""
    return f"{os.cpu_count()} cores ({platform.machine()}, {platform.system()}), Python {platform.python_version()}"


if __name__ == "__main__":
    main()
