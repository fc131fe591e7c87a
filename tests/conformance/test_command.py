"""`antiphon conform` against `antiphon serve`, both the real commands, with a scripted model and with the demo model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.acceptance.command import serving
from tests.cli.command import environment
from tests.conformance.able import MODELS, able_settings

pytestmark = pytest.mark.slow

PATIENCE = 900.0

DEMO: Mapping[tuple[str, str], tuple[str, str]] = {
    ("embeddings", "vectors"): ("not offered", "--embeddings"),
    ("embeddings", "base64"): ("not offered", "--embeddings"),
    ("embeddings", "bad request"): ("not offered", "--embeddings"),
    ("moderations", "verdicts"): ("not offered", "'model'"),
    ("vector stores", "file_search"): ("no", "call"),
    ("background", "cancelled"): ("part", "before it could be cancelled"),
}
"""What may be no plain yes with the demo model, and words of the reason: it has 3 million parameters, and does not embed. Where
it has to write a query of its own it may come to no end; and it is quick."""


async def conform(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Run `antiphon conform …` to its end."""
    import sys

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "antiphon", "conform", *arguments),
        cwd=folder,
        env=environment(folder),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE)
async def test_all_is_right_with_a_model_that_can_all(tmp_path: Path) -> None:
    with (
        able_settings(tmp_path) as file,
        serving(tmp_path, "--config", str(file), "--store", "store.db", "--api-key", "sk-one") as command,
    ):
        code, out, err = await conform(tmp_path, f"{command.url}/v1", *MODELS, "--api-key", "sk-one", "--json")
        told = json.loads(out)
        wrong = [(one["area"], one["name"], one["reasons"]) for one in told["outcomes"] if one["mark"] != "yes"]
        assert not wrong
        assert (code, err) == (0, "")
        assert len(told["outcomes"]) > 80
        assert "sk-one" not in out

        code, out, _ = await conform(tmp_path, command.url, "--api-key", "sk-two")
        assert code == 1 and not out

        code, out, _ = await conform(tmp_path, command.url, *MODELS, "--api-key", "sk-one", "--only", "models")
        assert code == 0
        assert out.count("yes") == 4 and "3 checks of" in out and "3 yes" in out


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE)
async def test_all_is_right_with_the_demo_model_or_the_reason_is_told(tmp_path: Path) -> None:
    with serving(tmp_path, "--store", "memory") as command:
        code, out, _ = await conform(tmp_path, command.url, "--json", "--timeout", "120")
    found = {(one["area"], one["name"]): one for one in json.loads(out)["outcomes"]}
    for key, one in found.items():
        if one["mark"] != "yes":
            mark, words = DEMO.get(key, ("yes", ""))
            assert one["mark"] == mark, one
            assert words in " ".join(one["reasons"])
    assert code == any(one["mark"] == "no" for one in found.values())
    assert DEMO.keys() <= found.keys()


async def test_what_is_checked_can_be_listed_without_a_server(tmp_path: Path) -> None:
    code, out, _ = await conform(tmp_path, "http://127.0.0.1:9", "--list", "--only", "batches")
    assert code == 0
    assert "batches, cancelled: a batch is cancelled  [API reference, Batch, Cancel batch]" in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["http://127.0.0.1:9"], 1, "http://127.0.0.1:9/v1: the server cannot be reached"),
        (["http://127.0.0.1:9", "--only", "nonsense"], 2, "no such area"),
        (["ftp://host"], 2, "URL"),
    ],
)
async def test_errors_are_one_line(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    ended, out, err = await conform(tmp_path, *arguments)
    assert (ended, out) == (code, "")
    assert words in err and err.count("\n") == 1
