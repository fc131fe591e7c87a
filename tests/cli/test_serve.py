"""The banner and the logs of a server."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.cli.banner import Banner, banner
from antiphon.composition.app import build
from antiphon.config import BackendConfig, CodeInterpreterConfig, Config, EngineConfig, ToolsConfig
from antiphon.telemetry.log import set_up
from tests.server.serving import serving

pytestmark = pytest.mark.slow

SCRIPTED = {"demo": BackendConfig(url="http://127.0.0.1:9", api="scripted")}


def test_the_banner_says_where_what_and_who() -> None:
    text = banner(Config(store="/data/a.db", engine=EngineConfig()), 8080, ["antiphon-demo"])
    assert "http://127.0.0.1:8080/v1" in text
    assert "open (loopback only)" in text
    assert "/data/a.db" in text
    assert """-d '{"model":"antiphon-demo","input":""" in text
    assert "tiny demo model" in text
    assert "\x1b" not in text


def test_the_banner_hides_keys_and_knows_what_it_does_not_know() -> None:
    text = banner(Config(host="0.0.0.0", api_keys=["hush", "hush-2"], store="memory"), 80, None)
    assert "hush" not in text
    assert "2 keys" in text
    assert "discovering…" in text
    assert "YOUR_KEY" in text
    assert "demo model" not in text
    assert "http://127.0.0.1:80/v1" in text


OFF = ToolsConfig(code_interpreter=CodeInterpreterConfig(sandbox="off"))


@pytest.mark.parametrize(
    ("condition", "shown"),
    [
        ("", None),
        ("bubblewrap, Python 3.11.7", "code    bubblewrap, Python 3.11.7"),
        ("off: bwrap is not there", "code    off: bwrap is not there (see `antiphon doctor sandbox`)"),
    ],
)
def test_the_banner_says_what_runs_code(condition: str, shown: str | None) -> None:
    text = banner(Config(store="memory"), 80, None, code=condition)
    assert shown in text if shown else "code" not in text.replace("curl", "")


def test_the_banner_waits_for_the_models() -> None:
    config = Config(store="memory", shutdown_grace=0, api_keys=["key"], backends=SCRIPTED, tools=OFF)
    out = io.StringIO()
    with serving(build(config), config) as served:
        thread = Banner(config, served.port, out)
        thread.start()
        thread.join()
    assert "models  scripted" in out.getvalue()
    assert 'code    off: tools.code_interpreter.sandbox is "off"' in out.getvalue()


def test_without_a_key_the_banner_asks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(store="memory", shutdown_grace=0, api_keys=["key"], backends=SCRIPTED, tools=OFF)
    asked: list[str] = []
    ask = Banner._ask
    monkeypatch.setattr(Banner, "_ask", lambda self, path, left: asked.append(path) or ask(self, path, left))
    out = io.StringIO()
    with serving(build(config), config) as served:
        thread = Banner(Config(store="memory", tools=OFF), served.port, out)  # its keys are in the store
        thread.start()
        thread.join()
    assert "models  listed to those who have an API key" in out.getvalue() and "YOUR_KEY" in out.getvalue()
    assert asked.count("/v1/models") == 1


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    """Give the loggers back as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    quiet = {name: logging.getLogger(name).level for name in ("uvicorn", "uvicorn.error", "asyncio", "mcp")}
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("uvicorn.access").disabled = False
    for name, before in quiet.items():
        logging.getLogger(name).setLevel(before)


def test_a_line_for_people(logs: io.StringIO) -> None:
    set_up("info", out=logs)
    logging.getLogger("antiphon.server").warning("two\nlines", extra={"request_id": "r1", "status": 200})
    logging.getLogger("antiphon.server").debug("not seen")
    logging.getLogger("uvicorn.error").info("not seen either")
    line = logs.getvalue()
    assert line.count("\n") == 1
    assert line.endswith(" warning server: two\\nlines request_id=r1 status=200\n")


def test_an_object_for_machines(logs: io.StringIO) -> None:
    set_up("debug", "json", out=logs)
    try:
        raise ValueError("oh")
    except ValueError:
        logging.getLogger("antiphon.server").exception("it broke", extra={"request_id": "r1", "path": Path("/x")})
    entry = json.loads(logs.getvalue())
    assert entry["exception"].endswith("ValueError: oh")
    assert entry["time"].endswith("Z")
    wanted = {"level": "error", "logger": "antiphon.server", "message": "it broke", "request_id": "r1", "path": "/x"}
    assert wanted.items() <= entry.items()
