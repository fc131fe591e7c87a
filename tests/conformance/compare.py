"""Hold other servers against the APIs: `python -m tests.conformance.compare` (`scripts/compare`).

Installs each server from PyPI in an environment of its own (`tests/engines`), starts it with the demo model, runs
`antiphon conform` against it, and keeps the outcomes in compared.json, of which docs/compared.md is made. `--cpu` measures
CPU per token of those that pass requests on, all in one run, with the mock backend of `bench`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.conformance.compared_page import COMPARED, page
from tests.conformance.rivals import BY_HAND, RIVALS, running

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "compared.md"
PATIENCE = 3600


def main() -> int:
    """Run what the command line names, keep it, and write the page."""
    parser = argparse.ArgumentParser(prog="scripts/compare", description="Compare servers by `antiphon conform`.")
    parser.add_argument("--only", action="append", choices=RIVALS, help="a server; repeatable; default: all but vllm")
    parser.add_argument("--cpu", action="store_true", help="measure CPU per token, too")
    parser.add_argument("--timeout", default="60", help="seconds for one answer")
    asked = parser.parse_args()
    kept: Json = json.loads(COMPARED.read_text()) if COMPARED.is_file() else {"servers": {}}
    for name in asked.only or [name for name in RIVALS if name not in BY_HAND]:
        kept["servers"][name] = _compared(name, asked.timeout)
        COMPARED.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    if asked.cpu:
        from tests.conformance.compared_cpu import measured

        kept["cpu"] = measured()
        COMPARED.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(page())
    return 0


def _compared(name: str, timeout: str) -> Json:
    """Run the suite against one server; where it does not start, say why."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    with tempfile.TemporaryDirectory() as folder:
        try:
            with running(name, Path(folder)) as started:
                print(f"{name} {started.version}: {started.url}", flush=True)
                command = [sys.executable, "-m", "antiphon", "conform", started.url, "--model", started.model]
                command += ["--api-key", started.key, "--timeout", timeout, "--json"]
                done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
                if not done.stdout:
                    return {"date": today, "failed": done.stderr[-400:]}
                outcomes = json.loads(done.stdout)["outcomes"]
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            print(f"{name}: {str(error)[-400:]}", flush=True)
            return {"date": today, "failed": str(error)[-400:]}
    counts = {mark: sum(one["mark"] == mark for one in outcomes) for mark in ("yes", "part", "no", "not offered")}
    print(f"{name}: {counts}", flush=True)
    found = {f"{one['area']}: {one['name']}": [one["mark"], *one["reasons"][:2]] for one in outcomes}
    return {"date": today, "version": started.version, "command": started.command, "outcomes": found}


if __name__ == "__main__":
    sys.exit(main())
