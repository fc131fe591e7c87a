"""MCP's own conformance suite for clients, against the server as an MCP client: two revisions, with a handshake and without.

What is left out: OAuth, as callers send the tokens of MCP servers themselves, and questions to a person, as there is none.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.clients.lib import HERE, same, scenario

SUITE = HERE / "node_modules/@modelcontextprotocol/conformance/dist/index.js"
SCENARIOS = {
    "2025-11-25": ("initialize", "tools_call", "sse-retry"),
    "2026-07-28": (
        "tools_call",
        "request-metadata",
        "sep-2322-client-request-state",
        "http-standard-headers",
        "http-custom-headers",
        "http-invalid-tool-headers",
        "json-schema-ref-no-deref",
        "json-schema-2020-12-preservation",
    ),
}


def fails(name: str, revision: str, folder: Path) -> str:
    """Play one scenario; return what the suite says where it fails."""
    client = f"{sys.executable} -m tests.clients.mcp_client"
    command = [os.environ["NODE"], str(SUITE), "client", "--command", client, "--scenario", name]
    done = subprocess.run(
        [*command, "--spec-version", revision, "--output-dir", str(folder)],
        cwd=HERE.parent.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )
    good = done.returncode == 0 and "SKIPPED:" not in done.stdout
    return "" if good else f"{name} at {revision}: {done.stdout[-3000:]}{done.stderr[-3000:]}"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = [fails(name, revision, Path(folder)) for revision, names in SCENARIOS.items() for name in names]
    same("\n".join(filter(None, found)), "")


scenario(main)
