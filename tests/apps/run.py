"""Play applications and frameworks against the real command: `python -m tests.apps.run [NAME …]` (`scripts/acceptance apps`).

Installs each from PyPI or npm in an environment of its own, outside the repository, starts the scripted backend and
`antiphon serve` in front of it, runs the application's script, and prints a table: ✓ right, = a limit of the application, with
its words below, ✗ wrong. Without names all are played but the slow ones. Returns 1 if anything is wrong. Nothing but loopback
is spoken to once they are installed: telemetry and looks for updates are off.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.command import serving
from tests.apps.apps import APPS, App
from tests.apps.cases import ALL, LIMIT, RIGHT, WRONG
from tests.apps.install import install, node
from tests.clients.run import ROOT, helper

KEY = "sk-for-the-applications"
PATIENCE = 600  # seconds for one application, on a busy machine
SETTINGS = """
[backends.upstream]
url = "{url}"
[models.played]
aliases = ["gpt-5.4"]
"""
QUIET = {
    "AGENT_FRAMEWORK_DISABLE_TELEMETRY": "1",
    "ANONYMIZED_TELEMETRY": "false",
    "BAML_LOG": "off",
    "CI": "1",
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "MASTRA_TELEMETRY_DISABLED": "1",
    "NO_PROXY": "127.0.0.1",
    "NO_UPDATE_NOTIFIER": "1",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_TRACES_EXPORTER": "none",
    "SCARF_NO_ANALYTICS": "true",
}
"""What keeps applications from speaking to their makers."""


@dataclass(frozen=True)
class Played:
    """What became of one application: the lines of its script."""

    name: str
    app: App
    lines: list[str]
    seconds: float

    def count(self, mark: str) -> int:
        """How many of its cases have this mark."""
        return sum(line.startswith(mark) for line in self.lines)


def main() -> int:
    """Play what the command line names. Returns 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="scripts/acceptance apps", description=__doc__.split("\n", 1)[0])
    slow = ", ".join(name for name, app in APPS.items() if app.slow)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(APPS)}; without any all but {slow}")
    names = parser.parse_args().names
    if unknown := set(names) - set(APPS):
        parser.error(f"no such application: {', '.join(sorted(unknown))}")
    played: list[Played] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "antiphon.toml").write_text(SETTINGS.format(url=stack.enter_context(helper("upstream"))))
        log = folder / "server.log"
        server = stack.enter_context(serving(folder, "--store", "store.db", "--api-key", KEY, log=log))
        for name in names or [name for name, app in APPS.items() if not app.slow]:
            played.append(_play(name, APPS[name], f"{server.url}/v1", folder))
        said = log.read_text(errors="replace")
    print("\n" + table(played))
    if "Traceback" in said:
        print(f"{WRONG} the server's log: {said[said.index('Traceback') :][:2000]}")
    return int("Traceback" in said or any(one.count(WRONG) for one in played))


def _play(name: str, app: App, url: str, folder: Path) -> Played:
    """Install an application, run its script with a home of its own, and print what it says."""
    begin = time.monotonic()
    try:
        installed = install(name, app)
        begin = time.monotonic()
        home = folder / f"home-{name}"
        home.mkdir()
        done = subprocess.run(
            _command(app, installed),
            cwd=ROOT, env=_environment(app, url, installed, home), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        lines = [line for line in done.stdout.splitlines() if line[:2] in (f"{RIGHT} ", f"{LIMIT} ", f"{WRONG} ")]
        told = sum(int(line.removeprefix(ALL)) for line in done.stdout.splitlines() if line.startswith(ALL))
        if done.returncode != 0 or not lines or told != len(lines):
            lines.append(f"{WRONG} the script, {told} cases: {(done.stderr or done.stdout)[-1500:].strip()}")
    except subprocess.CalledProcessError as error:
        lines = [f"{WRONG} the installation: {error}"]
    except subprocess.TimeoutExpired:
        lines = [f"{WRONG} the script: no end after {PATIENCE} s"]
    end_processes(folder / f"home-{name}")
    one = Played(name, app, lines, time.monotonic() - begin)
    print(
        "\n".join([f"{app.title} {app.version}  ({one.seconds:.1f} s)", *(f"  {line}" for line in lines)]), flush=True
    )
    return one


def end_processes(home: Path) -> None:
    """End what an application has left running: the processes whose home is that of its script (Linux)."""
    for variables in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if f"HOME={home}".encode() in variables.read_bytes().split(b"\0"):
                os.kill(int(variables.parent.name), signal.SIGKILL)


def _command(app: App, installed: Path) -> list[str]:
    if app.script.endswith(".mjs"):
        return [str(node()), str(Path(__file__).with_name(app.script))]
    own = installed / "bin/python"  # what has a program only is played by this Python
    return [str(own if app.library else sys.executable), "-m", f"tests.apps.{app.script}"]


def _environment(app: App, url: str, installed: Path, home: Path) -> dict[str, str]:
    return {
        **os.environ,
        **QUIET,
        "PATH": f"{node().parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "FOLDER": str(installed),
        "VERSION": app.version,
        "BASE_URL": url,
        "API_KEY": KEY,
        "MODEL": "played",
        "MCP_URL": "",
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": url,
        "OPENAI_API_BASE": url,
    }


def table(played: list[Played]) -> str:
    """Return a line for each application, and below it what is not right."""
    lines = [f"{'application':34}{'right':>6}{'limits':>8}{'wrong':>7}{'seconds':>9}"]
    for one in played:
        title = f"{one.app.title} {one.app.version}"
        counts = f"{one.count(RIGHT):6}{one.count(LIMIT):8}{one.count(WRONG):7}"
        lines.append(f"{title:34}{counts}{one.seconds:9.1f}")
        lines += [f"  {line}" for line in one.lines if not line.startswith(RIGHT)]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
