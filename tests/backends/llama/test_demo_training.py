"""What the demo model is taught of a tool is what the server tells models of it."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from antiphon.core.citations.citer import Citer
from antiphon.core.citations.sources import FileSource, Passage, Sources
from antiphon.core.deltas import AnnotationDelta, TextDelta
from antiphon.tools import file_search

FOLDER = Path(__file__).parents[3] / "demo_model"
TAUGHT = (
    "import file_tasks, json; print(json.dumps([file_tasks.INSTRUCTIONS, file_tasks.SEARCH, file_tasks.NOTHING_FOUND]))"
)
SAMPLES = "import generate, json; g = generate.Generator(5); print(json.dumps([g.files()[1] for _ in range(200)]))"
HEADING = re.compile(r"(?:^|\n\n)【(\d+)†([^】\n]+)】\n")


def taught(program: str) -> Any:
    run = subprocess.run([sys.executable, "-c", program], cwd=FOLDER, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


@pytest.fixture(scope="module")
def searches() -> list[tuple[str, str]]:
    """What a search gave, and the answer to it, of two hundred conversations."""
    found = []
    for messages in taught(SAMPLES):
        for one, after in pairwise(messages):
            if one["role"] == "tool":
                found.append((one["content"], after["content"]))
    assert len(found) > 200
    return found


def test_it_is_taught_what_the_server_says_of_file_search() -> None:
    instructions, tool, _ = taught(TAUGHT)
    assert instructions == file_search._INSTRUCTIONS
    function = tool["function"]
    assert (function["name"], function["description"]) == ("file_search", file_search._DESCRIPTION)
    offered = msgspec.json.decode(file_search._PARAMETERS)["properties"]["queries"]
    assert {key: offered[key] for key in ("type", "items")} == function["parameters"]["properties"]["queries"]


def test_it_is_taught_what_the_server_says_where_nothing_is_found() -> None:
    use = file_search.FileSearchUse(cast(Any, None), cast(Any, None), lambda: 0.0, scopes=())
    use._noted = True
    result = asyncio.run(use.call("file_search", '{"queries": ["x"]}', cast(Any, None)))
    assert result.model_text == taught(TAUGHT)[2]


def test_passages_are_those_of_the_server_and_markers_those_that_it_reads(searches: list[tuple[str, str]]) -> None:
    cited = 0
    for content, answer in searches:
        _, *parts = HEADING.split(content)
        if not parts:
            continue
        sources = Sources()
        found = [FileSource(f"file-{n}", name, int(n)) for n, name in zip(parts[::3], parts[1::3], strict=True)]
        sources.load(found)
        passages = [Passage(source, text) for source, text in zip(found, parts[2::3], strict=True)]
        assert sources.told(None, passages, []).text == content
        cited += cites(sources, answer)
    assert cited > 150


def cites(sources: Sources, answer: str) -> bool:
    """Tell whether an answer cites a source; what the client sees must hold no marker."""
    citer = Citer(sources)
    deltas = [*citer.take([TextDelta(answer)]), *citer.close()]
    assert "【" not in "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
    annotations = [delta for delta in deltas if isinstance(delta, AnnotationDelta)]
    assert len(annotations) == answer.count("【")
    return bool(annotations)
