"""`antiphon run`, `ps` and `stop`: with the real engine, a stand-in for the hub, and servers on real sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from antiphon.backends.llama.model import DEMO_FILE
from tests.backends.llama.hub_server import hub
from tests.cli.command import antiphon
from tests.server.relays.test_local_models import ONE, copies, running

pytestmark = pytest.mark.slow

REPO = "acme/Demo-GGUF"
PATIENT = 120


async def test_run_downloads_a_model_and_answers(tmp_path: Path) -> None:
    """Twice: the second time there is no network."""
    data = await asyncio.to_thread(DEMO_FILE.read_bytes)
    config = tmp_path / "antiphon.toml"
    config.write_text("port = 1\n[engine]\nparallel = 1\ncontext = 1024\n")
    nowhere = "http://127.0.0.1:9"
    with hub(REPO, {"demo-Q8_0.gguf": data}) as server:
        ask = ("run", REPO, "Say hello in five words.", "--threads=1")
        first = await antiphon(tmp_path, *ask, seconds=PATIENT, HF_ENDPOINT=server.url, ANTIPHON_URL="")
        assert first.code == 0 and first.out.strip() and f"success: {REPO}:Q8_0" in first.err
    again = await antiphon(
        tmp_path, "run", REPO, "--threads=1", stdin="Say hello.", seconds=PATIENT, HF_ENDPOINT=nowhere, ANTIPHON_URL=""
    )
    assert again.code == 0 and again.out.strip() and "success" not in again.err


async def test_run_and_ps_with_a_running_server(tmp_path: Path) -> None:
    def serve_and_ask() -> None:
        with running(models=copies(tmp_path, "a"), memory=3 * ONE) as server:

            def command(*arguments: str) -> tuple[int, str, str]:
                outcome = asyncio.run(antiphon(tmp_path, *arguments, f"--url={server.client.url}", seconds=PATIENT))
                return outcome.code, outcome.out, outcome.err

            code, out, _ = command("run", "a", "Say hello in five words.")
            assert code == 0 and out.strip()
            code, out, _ = command("ps")
            rows = [line.split() for line in out.splitlines()]
            assert code == 0 and rows[0] == ["NAME", "SIZE", "CONTEXT", "RUNNING", "UNTIL"]
            assert {row[0]: row[3:5] for row in rows[1:]} == {"a": ["1024", "0/2"], "antiphon-demo": ["1024", "0/2"]}
            assert any(row[0] == "a" and row[-2:] == ["from", "now"] for row in rows)
            assert command("stop", "a", "antiphon-demo")[:2] == (0, "a: not loaded\nantiphon-demo: not loaded\n")
            assert command("ps")[1].split() == rows[0]
            code, _, err = command("stop", "zz")
            assert code == 1 and "'zz' is none that this server loads and unloads" in err
            code, _, err = command("run", "zz", "Hello")
            assert code == 1 and "unknown model 'zz'" in err and "a, antiphon-demo" in err

    await asyncio.to_thread(serve_and_ask)


async def test_what_does_not_answer(tmp_path: Path) -> None:
    for command in (("ps",), ("stop", "a"), ("run", "a", "Hello")):
        outcome = await antiphon(tmp_path, *command, "--url=http://127.0.0.1:9")
        assert outcome.code == 1 and "no server answers at http://127.0.0.1:9" in outcome.err
