"""Limits as a client of the server sees them, in every mode."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from antiphon.composition import app
from antiphon.config import BackendConfig, Config, KeyConfig
from tests.server.handlers import Answer, call
from tests.server.serving import serving, wait_until

# Servers


def settings(folder: Path, *limits: str, **more: Any) -> Config:
    """Return the settings of a server with a limited key `k` and a free one."""
    return Config(
        store=str(folder / "store.db"),
        shutdown_grace=1.0,
        api_keys=["free"],
        keys={"limited": KeyConfig(key="k", limits=list(limits))},
        backends={"scripted": BackendConfig(url="http://127.0.0.1:9", api="scripted")},
        **more,
    )


def ask(url: str, text: str = "Hi.", key: str = "k", path: str = "/v1/responses", **fields: Any) -> Answer:
    body = {"model": "scripted", "input": text, **fields}
    return call(url, "POST", path, json.dumps(body), {"authorization": f"Bearer {key}"})


def finished(url: str, id: str) -> None:
    """Wait for a background response."""
    while call(url, "GET", f"/v1/responses/{id}", headers={"x-api-key": "k"}).json()["status"] != "completed":
        time.sleep(0.02)


def test_every_mode_is_counted_and_told(tmp_path: Path) -> None:
    config = settings(tmp_path, "5 requests/min", "100000 tokens/min")
    with serving(app.build(config), config) as served:
        seen = [
            ask(served.url),
            ask(served.url, stream=True),
            ask(served.url, background=True),
            ask(served.url, path="/v1/responses/compact"),
        ]
        assert [answer.status for answer in seen] == [200] * 4
        assert [answer.headers["x-ratelimit-remaining-requests"] for answer in seen] == ["4", "3", "2", "1"]
        assert all(int(answer.headers["x-ratelimit-remaining-tokens"]) > 90_000 for answer in seen)
        assert ask(served.url, text="/error 500 broken").status == 500
        assert ask(served.url).status == 429
        assert ask(served.url, key="free").status == 200
        assert "x-ratelimit-limit-requests" not in ask(served.url, key="free").headers


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"background": True}])
def test_real_usage_is_settled(tmp_path: Path, fields: dict[str, Any]) -> None:
    config = settings(tmp_path, "3000 tokens/min")
    with serving(app.build(config), config) as served:
        began = time.monotonic()
        answer = ask(served.url, "/repeat 200 word", max_output_tokens=2900, **fields)
        assert int(answer.headers["x-ratelimit-remaining-tokens"]) < 100
        if fields.get("background"):
            finished(served.url, answer.json()["id"])
        left = int(ask(served.url, max_output_tokens=1).headers["x-ratelimit-remaining-tokens"])
        leaked = 50 * (time.monotonic() - began)
        assert 2500 < left < 2850 + leaked  # some 200 tokens of output


def test_one_stream_at_a_time(tmp_path: Path) -> None:
    config = settings(tmp_path, "1 streams")
    with serving(app.build(config), config) as served:
        for _ in range(5):  # one after the other, each place is free again at once
            assert ask(served.url, stream=True).status == 200
        background = ask(served.url, "/delay 0.3\n/repeat 2 word", background=True)
        assert background.status == 200
        assert ask(served.url).status == 429
        id = background.json()["id"]
        while (
            call(served.url, "GET", f"/v1/responses/{id}", headers={"x-api-key": "k"}).json()["status"] != "completed"
        ):
            time.sleep(0.02)
        assert ask(served.url).status == 200


def test_a_client_that_leaves_gives_its_place_back(tmp_path: Path) -> None:
    config = settings(tmp_path, "1 streams")
    body = b'{"model":"scripted","input":"/delay 5\\n/repeat 20 word","stream":true}'
    with serving(app.build(config), config) as served:
        with served.connect() as sock:
            head = b"POST /v1/responses HTTP/1.1\r\nhost: a\r\nx-api-key: k\r\ncontent-length: %d\r\n\r\n" % len(body)
            sock.sendall(head + body)
            assert sock.recv(100).startswith(b"HTTP/1.1 200")
            assert ask(served.url).status == 429
        wait_until(lambda: ask(served.url).status == 200)


def test_a_request_that_is_refused_otherwise_costs_nothing(tmp_path: Path) -> None:
    config = settings(tmp_path, "1 requests/min", "1 streams")
    with serving(app.build(config), config) as served:
        for _ in range(3):
            assert ask(served.url, temperature=7).status == 400
            assert ask(served.url, model="nobody").status == 400
        assert ask(served.url).status == 200
