"""The official Open Responses suite against the real command: `python -m tests.clients.generated.open_responses CHECKOUT`.

CHECKOUT is a clone of github.com/openresponses/openresponses, or of a fork. What its runner needs, Bun and zod, is
fetched from npm into it. All tests have to pass: with a model that thinks, and with one that does not.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.acceptance.command import serving
from tests.clients.run import KEY, helper

NEEDED = ("bun@1.4.5", "zod@3.25.76")
TESTS = 17
"""The tests of the revision of 2026-04-24; a newer suite may have more."""
SETTINGS = """
open_responses_names = true
[backends.upstream]
url = "{url}"
"""
PATIENCE = 300


def main() -> int:
    """Run the suite with each model; return 1 if a test fails."""
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "bin/compliance-test.ts").is_file():
        print(
            "scripts/acceptance open-responses CHECKOUT: a clone of github.com/openresponses/openresponses",
            file=sys.stderr,
        )
        return 2
    checkout = Path(sys.argv[1]).resolve()
    runner = _fetched(checkout)
    wrong = 0
    with tempfile.TemporaryDirectory() as folder, helper("upstream") as backend:
        (Path(folder) / "antiphon.toml").write_text(SETTINGS.format(url=backend))
        with serving(Path(folder), "--store", "store.db", "--api-key", KEY) as server:
            for model in ("capable", "thinking"):
                wrong += _failed(checkout, runner, f"{server.url}/v1", model)
    return int(wrong > 0)


def _fetched(checkout: Path) -> Path:
    """Fetch what the runner needs into a folder of the checkout that Git does not know; return Bun."""
    bun = checkout / "node_modules/.bin/bun"
    if not (bun.exists() and (checkout / "node_modules/zod").is_dir()):
        # Not from its package.json, which names all that its site is made with.
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", *NEEDED], cwd=folder, check=True)
            subprocess.run(["cp", "-a", f"{folder}/node_modules", str(checkout)], check=True)
    return bun


def _failed(checkout: Path, runner: Path, url: str, model: str) -> int:
    command = [str(runner), "run", "bin/compliance-test.ts", "-u", url, "-k", KEY, "-m", model, "--json"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=PATIENCE, check=False)
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        print(f"FAIL {model}: {done.stderr[-1000:]}")
        return 1
    for result in told["results"]:
        if result["status"] == "failed":
            print(f"FAIL {model}, {result['id']}: {result['errors']}")
    summary = told["summary"]
    print(f"{model}: {summary['passed']} of {summary['total']} passed, {summary['skipped']} skipped")
    return int(summary["failed"] > 0 or summary["passed"] < TESTS)


if __name__ == "__main__":
    sys.exit(main())
