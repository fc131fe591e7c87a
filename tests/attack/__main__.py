"""python -m tests.attack PART [PART …]: see `scripts/attack --help`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from pathlib import Path

from tests.attack.parts import PARTS, Options
from tests.attack.report import Report


def main() -> int:
    """Run the parts that were asked for; return 1 where something was found."""
    parser = argparse.ArgumentParser(prog="scripts/attack", description="Attack a server of its own.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; none: all but soak")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=0, help="cases or moments; default: the part's own")
    parser.add_argument("--minutes", type=float, default=60.0, help="of the soak")
    parser.add_argument("--rate", type=float, default=40.0, help="requests a second of the soak")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--case", type=int, default=-1, help="one case of the fuzzer, by its number")
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite", help="of the fuzzer's server")
    parser.add_argument("--out", type=Path, default=None, help="folder for inputs that were findings")
    given = parser.parse_args()
    unknown = set(given.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown part: {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server under attack ends as well
    report = Report(given.out or Path(tempfile.mkdtemp(prefix="antiphon-attack-")))
    options = Options(given.seed, given.count, given.minutes, given.only, given.case, given.store, given.rate)
    for name in given.parts or [name for name in PARTS if name != "soak"]:
        report.say(f"== {name}, seed {given.seed}")
        asyncio.run(PARTS[name](report, options))
    return report.summary()


if __name__ == "__main__":
    sys.exit(main())
