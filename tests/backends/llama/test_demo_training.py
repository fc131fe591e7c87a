"""What the demo model is taught of a tool is what the server tells models of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec

from antiphon.tools import file_search

FOLDER = Path(__file__).parents[3] / "demo_model"
TAUGHT = "import file_tasks, json; print(json.dumps([file_tasks.INSTRUCTIONS, file_tasks.SEARCH]))"


def test_it_is_taught_what_the_server_says_of_file_search() -> None:
    run = subprocess.run([sys.executable, "-c", TAUGHT], cwd=FOLDER, capture_output=True, text=True, check=True)
    instructions, tool = json.loads(run.stdout)
    assert instructions == file_search._INSTRUCTIONS
    function = tool["function"]
    assert (function["name"], function["description"]) == ("file_search", file_search._DESCRIPTION)
    offered = msgspec.json.decode(file_search._PARAMETERS)["properties"]["queries"]
    assert {key: offered[key] for key in ("type", "items")} == function["parameters"]["properties"]["queries"]
