"""Three people's tasks, timed. Each returns what was seen, and raises AssertionError where it was not as people expect.

1. From the built wheel to the first answer, in a bare environment: 60 seconds at most.
2. "What did team-a spend last week?": one command.
3. "Why did this response fail?": two clicks in the page, in Chromium.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from antiphon.config import BackendConfig, KeyConfig, ModelConfig
from tests.acceptance.installed import START, answers, install
from tests.page.browser import chromium
from tests.server.whole import Client, whole_server

CLICKS = 2


def first_answer(wheel: Path, folder: Path) -> str:
    """Install the wheel and use the server as README says; return what it took."""
    began = time.monotonic()
    answers(install(sys.executable, folder, wheel), folder)
    took = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = f"{took:.1f} s from the wheel to the first answer, at most {START:.0f} ({used.ru_utime + used.ru_stime:.0f} s of CPU)"
    assert took <= START, told
    return told


def spent(folder: Path) -> str:
    """Ask what a team spent last week, by one command on the store of the server."""
    store = str(folder / "spend.db")
    keys = {"a": KeyConfig(key="key-a", owner="team-a"), "b": KeyConfig(key="key-b", owner="team-b")}
    models = {"scripted": ModelConfig(backends=["demo"], price_input=1e6, price_output=1e6)}
    with whole_server(store=store, keys=keys, models=models, backends=_scripted()) as server:
        for key, times in (("key-a", 3), ("key-b", 1)):
            for _ in range(times):
                Client(server.url, key).create(model="scripted", input="One two three.")
    line = ["antiphon", "usage", "--owner", "team-a", "--period", "7d", "--format", "json", "--store", store]
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", *line], capture_output=True, text=True, check=True)
    (row,) = json.loads(done.stdout)
    assert row["owner"] == "team-a" and row["requests"] == 3 and row["cost"] > 0, row
    return f"1 command, {time.monotonic() - began:.1f} s: {' '.join(line[:6])}: {row['cost']:.2f}"


def why_it_failed(folder: Path) -> str:
    """Find out in the page why a response failed, from the page's address on; return the clicks that it took."""
    with whole_server(store=str(folder / "failed.db"), backends=_scripted()) as server:
        server.post("/v1/responses", model="scripted", input="/error 400 the violins are out of tune")
        server.create(model="scripted", input="Another one.")
        with chromium(folder / "profile") as tabs, tabs() as page:
            page.look()
            page.goto(server.url + "/")
            clicks = 0
            for target, shown in (
                ("a[href='#library']", "document.querySelectorAll('#log-rows .entry').length >= 2"),
                ("#log-rows .entry:has(.status.failed) a", "document.querySelector('#reading .problem')"),
            ):
                page.wait(f"Boolean(document.querySelector({json.dumps(target)}))")
                page.click(target)
                clicks += 1
                page.wait(f"Boolean({shown})")
                if "violins are out of tune" in page.js("document.body.innerText"):
                    break
            seen = page.js("document.querySelector('#library').innerText")
    assert "violins are out of tune" in seen and clicks <= CLICKS, (clicks, seen)
    return f"{clicks} clicks to the reason, at most {CLICKS}"


def _scripted() -> dict[str, BackendConfig]:
    return {"demo": BackendConfig(url="http://127.0.0.1:9/v1", api="scripted")}
