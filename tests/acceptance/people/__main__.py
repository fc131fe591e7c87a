"""Three timed tasks and the rows: `python -m tests.acceptance.people [--wheel WHEEL] [--pictures FOLDER] [ROW …]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.acceptance.people import page
from tests.acceptance.people.rows import ROWS, Row
from tests.acceptance.people.tasks import first_answer, spent, why_it_failed


def chosen(wheel: Path | None, names: list[str]) -> Iterator[tuple[str, Row]]:
    """Return what is to be tried: the rows of these names, or all, behind the tasks."""
    if wheel is not None:
        yield "first answer", partial(first_answer, wheel)
    if not names:
        yield "spend", spent
        yield "failure", why_it_failed
    for name in names or ROWS:
        yield from ((name, row) for row in ROWS[name])


def main() -> int:
    """Try them, one after the other; print what was seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.people", description=__doc__)
    parser.add_argument("--wheel", type=Path, help="Also: from this wheel to the first answer.")
    parser.add_argument("--pictures", type=Path, help="A folder for pictures of the page.")
    parser.add_argument("rows", nargs="*", choices=[[], *ROWS], metavar="ROW")
    given = parser.parse_args()
    page.PICTURES = given.pictures
    failed = 0
    for name, row in chosen(given.wheel and given.wheel.resolve(), given.rows):
        began = time.monotonic()
        try:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                told = row(Path(folder))
        except Exception as error:
            failed += 1
            told = f"NOT SO: {error}\n{''.join(traceback.format_tb(error.__traceback__)[-2:])}"
        print(f"{name:13}{told}  ({time.monotonic() - began:.1f} s)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
