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
    "completions-status": "The scripted backend has no legacy completions, which are passed on to it.",
    **dict.fromkeys(
        ("messages-usage-cached-bound", "messages-cache-bound", "messages-cache-prefix-bound"),
        "Anthropic's input_tokens leave out what was read from the cache, so that this may be more.",
    ),
}
"""Demands of the suite that contradict the API, or that the backend of the scenarios cannot meet, each with the reason."""

OTHER_MODELS = {"embeddings", "images", "images-edit", "audio-speech", "audio-transcriptions", "moderations", "rerank"}
"""Surfaces that need other models than the one that is probed."""

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
        same({result["surface"] for result in unclear} <= OTHER_MODELS, True)
        same({result["outcome"] for result in unclear} <= {"inconclusive"}, True)
        same(len(verdict["inconclusive"]), len(unclear))
        same(verdict["passed"] + len(failures), verdict["total"])
        assert {"chat", "responses", "messages", "count-tokens"} <= {one["surface"] for one in verdict["bySurface"]}


scenario(main)
