"""llmprobe, a conformance suite, with a model that can do what it asks for: every MUST of what the server offers, none left open.

It knows only Open Responses' names of reasoning events: with OpenAI's, which are the default, the model does not think.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from tests.clients.lib import API_KEY, BASE_URL, HERE, same, scenario

KNOWN = {
    "images-edit-accepts-multipart": "The suite's FormData is not that of the fetch that it brings along: it sends the text"
    " `[object FormData]` in place of a form.",
    **dict.fromkeys(
        ("messages-usage-cached-bound", "messages-cache-bound", "messages-cache-prefix-bound"),
        "Anthropic's input_tokens leave out what was read from the cache, so that this may be more.",
    ),
}
"""Demands of the suite that contradict the API, or that it does not make as it means to, each with the reason."""

SURFACES = {"models", "chat", "responses", "messages", "count-tokens"}
SURFACES |= {"embeddings", "completions", "images", "audio-speech"}
"""What must have been tried."""

_PROBE = HERE / "node_modules/.bin/llmprobe"


def probe(url: str, effort: str) -> dict[str, Any]:
    """Run the suite and return its verdict on the engine."""
    chosen = ["-m", "capable", "--reasoning", effort]
    command = [
        os.environ["NODE"],
        str(_PROBE),
        url,
        "--api-key",
        API_KEY,
        *chosen,
        "--full",
        "--no-bench",
        "--no-save",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.stdout, done.stderr[-1000:]
    return dict(json.loads(done.stdout)["conformance"])


def main() -> None:
    for url, effort in ((BASE_URL, "off"), (os.environ["OPEN_RESPONSES_URL"], "medium")):
        verdict = probe(url, effort)
        failures = [
            failure for result in verdict["results"] for failure in result["failures"] if failure["severity"] == "MUST"
        ]
        same([failure for failure in failures if failure["id"] not in KNOWN], [])
        unclear = [result for result in verdict["results"] if result["outcome"] not in ("pass", "unsupported", "fail")]
        same((unclear, verdict["inconclusive"]), ([], []))
        same(verdict["passed"] + len(failures), verdict["total"])
        same(SURFACES - {one["surface"] for one in verdict["bySurface"]}, set())
        for one in verdict["bySurface"]:
            print(f"| {effort} | {one['surface']} | {one['passed']} of {one['total']} |")


scenario(main)
