"""Several models in one server, with the real llama.cpp: copies of the demo model, loaded on demand, within a bound of memory."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from antiphon.backends.llama.local_models import LocalModels
from antiphon.backends.llama.model import DEMO_FILE, find_model
from antiphon.composition.app import Parts
from antiphon.config import Config, EngineConfig
from antiphon.errors import ConfigError
from tests.server.serving import serving, wait_until
from tests.server.whole import Client, turn

pytestmark = pytest.mark.slow

SMALL: dict[str, Any] = {"context": 1024, "parallel": 2, "threads": 1}
ONE = find_model(EngineConfig(**SMALL)).memory
SAY = "Say hello in five words."


class Running:
    """A server with an engine."""

    def __init__(self, parts: Parts, client: Client) -> None:
        engine = parts.backends["engine"]
        assert isinstance(engine, LocalModels)
        self.engine = engine
        self.client = client

    def loaded(self) -> list[str]:
        return [one["id"] for one in self.client.get("/admin/engine")[1]["data"]]

    def pid(self, id: str) -> int | None:
        """Return the process of a model, once it has one."""
        backend = self.engine._runners[id].backend
        return backend.pid if backend is not None else None


@contextmanager
def running(**settings: Any) -> Iterator[Running]:
    config = Config(store="memory", shutdown_grace=0, engine=EngineConfig(**{**SMALL, **settings}))
    parts = Parts(config)
    with serving(parts.app, config) as served:
        client = Client(served.url)
        wait_until(lambda: client.get("/ready")[0] == 200, 60)
        yield Running(parts, client)


def copies(folder: Path, *names: str) -> list[str]:
    """Copy the demo model; return the files."""
    files = [folder / f"{name}.gguf" for name in names]
    for file in files:
        shutil.copy(DEMO_FILE, file)
    return [str(file) for file in files]


def test_models_are_loaded_on_demand_in_every_mode(tmp_path: Path) -> None:
    with running(models=copies(tmp_path, "a", "b"), memory=3 * ONE) as server:
        listed = server.client.get("/v1/models")[1]["data"]
        assert [one["id"] for one in listed] == ["a", "b", "antiphon-demo"], "the demo model is the last"
        assert all(one["context_length"] == 1024 and one["capabilities"]["supports_responses"] for one in listed)
        assert server.loaded() == ["antiphon-demo"], "what nobody has called is not loaded"
        assert server.client.create(model="a", input=SAY)["model"] == "a"
        assert server.client.stream(model="b", input=SAY)[-1]["type"] == "response.completed"
        assert sorted(server.loaded()) == ["a", "antiphon-demo", "b"]
        started = server.client.create(model="a", input=SAY, background=True)
        assert server.client.finished(started["id"])["status"] == "completed"
        with server.client.websocket() as connection:
            assert turn(connection, model="b", input=SAY)[-1]["type"] == "response.completed"
        chat = server.client.post("/v1/chat/completions", model="a", messages=[{"role": "user", "content": SAY}])
        assert chat[0] == 200 and chat[1]["choices"][0]["message"]["content"]
        assert server.client.post("/v1/responses/input_tokens", model="b", input=SAY)[1]["input_tokens"] > 0
        told = server.client.get("/admin/engine")[1]
        assert told["memory_total"] == 3 * ONE and told["memory_taken"] == 3 * ONE
        assert all(one["running"] == 0 and one["state"] == "loaded" for one in told["data"])
        assert {one["id"]: one["expires_at"] is None for one in told["data"]} == {
            "a": False,
            "b": False,
            "antiphon-demo": True,
        }


def test_a_model_is_stopped_when_its_answers_have_ended(tmp_path: Path) -> None:
    """As `ollama stop`: the memory is free, /v1/models says so, the next call loads the model again."""
    with running(models=copies(tmp_path, "a"), memory=3 * ONE) as server:
        client = server.client

        def states() -> dict[str, str]:
            return {one["id"]: one["state"] for one in client.get("/v1/models")[1]["data"]}

        def stop(model: str) -> tuple[int, Any]:
            return client.post("/admin/engine/stop", model=model)

        assert states() == {"a": "not_loaded", "antiphon-demo": "loaded"}
        assert stop("a") == (200, {"id": "a", "object": "engine.model", "state": "not_loaded"})
        assert stop("antiphon-demo")[1]["state"] == "not_loaded", "one that time does not unload, too"
        assert client.get("/ready")[0] == 200 and server.loaded() == []
        with ThreadPoolExecutor(1) as pool:
            events = pool.submit(lambda: client.stream(model="a", input="Tell me a story.", max_output_tokens=200))
            wait_until(
                lambda: server.loaded() == ["a"] and client.get("/admin/engine")[1]["data"][0]["running"] == 1, 30
            )
            assert stop("a")[0] == 200
            assert events.result()[-1]["type"] in ("response.completed", "response.incomplete"), "no answer breaks off"
        wait_until(lambda: states() == {"a": "not_loaded", "antiphon-demo": "not_loaded"}, 10)
        wait_until(lambda: client.get("/admin/engine")[1]["memory_taken"] == 0, 10)
        assert client.create(model="a", input=SAY)["status"] == "completed"
        status, body = stop("nobody")
        assert status == 404 and body["error"]["code"] == "model_not_found"
        assert client.post("/admin/engine/stop", model="a", when="now")[0] == 400
        assert client.get("/v1/models/a")[1]["state"] == "loaded"


def test_two_clients_want_two_models_that_do_not_fit_together(tmp_path: Path) -> None:
    """Each is answered in its turn, and no answer breaks off."""
    with running(models=copies(tmp_path, "a", "b"), memory=int(1.5 * ONE)) as server:

        def ask(model: str) -> tuple[str, str]:
            events = server.client.stream(model=model, input="Tell me a story.", max_output_tokens=60)
            return events[-1]["response"]["model"], events[-1]["type"]

        wanted = ["a", "b", "a", "b", "antiphon-demo", "b", "a"]
        with ThreadPoolExecutor(len(wanted)) as pool:
            answers = list(pool.map(ask, wanted))
        assert [model for model, _ in answers] == wanted
        assert {type for _, type in answers} <= {"response.completed", "response.incomplete"}
        assert len(server.loaded()) == 1
        assert server.client.get("/ready")[0] == 200, "a model that was unloaded for another can be called"


def test_a_model_that_does_not_fit_is_refused_with_figures(tmp_path: Path) -> None:
    models = copies(tmp_path, "a")
    large = find_model(EngineConfig(**{**SMALL, "parallel": 2, "context": 8192})).memory
    assert large > ONE
    with running(models=models, memory=ONE + 1) as server:
        engine = server.engine
        runner = engine._runners["a"]
        runner.model = type(runner.model)(path=runner.model.path, card=runner.model.card, context=1024, memory=large)
        status, body = server.client.post("/v1/responses", model="a", input=SAY)
        assert (status, body["error"]["code"], body["error"]["param"]) == (400, "unsupported_model", "model")
        assert " MB of memory, more than the " in body["error"]["message"]
        assert server.client.create(model="antiphon-demo", input=SAY)["status"] == "completed"


def test_the_configured_model_has_to_fit() -> None:
    with pytest.raises(ConfigError, match=r"engine\.memory: .* needs about .* are allowed\. Lower engine\.context"):
        Parts(Config(store="memory", engine=EngineConfig(**SMALL, memory=ONE - 1)))


@pytest.mark.parametrize("kept", [0.6, 0.999])
def test_a_damaged_file_harms_no_other_model(tmp_path: Path, kept: float) -> None:
    good, bad = copies(tmp_path, "good", "bad")
    data = DEMO_FILE.read_bytes()
    Path(bad).write_bytes(data[: int(kept * len(data))])
    with running(models=[good, bad]) as server:
        for _ in range(2):
            status, body = server.client.post("/v1/responses", model="bad", input=SAY)
            assert (status, body["error"]["code"]) == (503, "backend_unavailable")
            assert "'bad' cannot be loaded" in body["error"]["message"] and str(tmp_path) not in json.dumps(body)
            assert server.client.get("/ready")[0] == 200
            assert server.client.create(model="good", input=SAY)["status"] == "completed"
        assert "bad" not in server.loaded()
        streamed = server.client.post("/v1/responses", model="bad", input=SAY, stream=True)[1]
        assert streamed["error"]["code"] == "backend_unavailable"


def test_a_header_that_is_none_is_refused_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "x.gguf"
    file.write_bytes(b"GGUF" + b"\xff" * 100)
    with pytest.raises(ConfigError, match=r"header of .* is damaged"):
        Parts(Config(store="memory", engine=EngineConfig(models=[str(file)])))


def test_a_killed_process_is_replaced(tmp_path: Path) -> None:
    """Killed while it answers, while it is idle, while it loads: other models go on, and the next call is answered."""
    with running(models=copies(tmp_path, "a", "b"), memory=3 * ONE) as server:
        server.client.create(model="a", input=SAY)
        with ThreadPoolExecutor(1) as pool:
            talking = pool.submit(server.client.post, "/v1/responses", model="b", input="Count to a thousand.")
            wait_until(lambda: server.pid("b") is not None, 60)
            os.kill(server.pid("b") or 0, signal.SIGKILL)  # while it loads
            status, body = talking.result()
            assert status == 200 or body["error"]["code"] == "backend_unavailable"
        assert server.client.create(model="a", input=SAY)["status"] == "completed"
        assert server.client.create(model="b", input=SAY)["status"] == "completed"
        first = server.pid("b")
        os.kill(first or 0, signal.SIGKILL)  # while it is idle
        wait_until(lambda: server.pid("b") not in (None, first), 60)
        assert server.client.create(model="b", input=SAY)["status"] == "completed"
        assert server.client.get("/ready")[0] == 200


def test_idle_models_are_unloaded(tmp_path: Path) -> None:
    with running(models=copies(tmp_path, "a"), keep_alive=0.3) as server:
        server.client.create(model="a", input=SAY)
        process = server.pid("a")
        wait_until(lambda: server.loaded() == ["antiphon-demo"], 30)
        wait_until(lambda: not _lives(process), 30)
        assert server.client.create(model="a", input=SAY)["status"] == "completed"


def test_models_of_this_machine_are_served_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is downloaded while the server runs is there after a look, and what is removed is gone."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "llama"))
    with running(cache=str(tmp_path / "own")) as server:
        assert [one["id"] for one in server.client.get("/v1/models")[1]["data"]] == ["antiphon-demo"]
        (tmp_path / "llama").mkdir()
        file = Path(copies(tmp_path / "llama", "acme_Tiny-GGUF_Tiny-Q8_0")[0])
        damaged = tmp_path / "llama" / "damaged.gguf"
        damaged.write_bytes(b"GGUF")
        assert server.client.post("/v1/responses", model=file.name, input=SAY)[0] == 400  # and it looks
        wait_until(lambda: len(server.client.get("/v1/models")[1]["data"]) == 2, 60)
        assert server.client.create(model=file.name, input=SAY)["status"] == "completed"
        assert server.client.get("/v1/models")[1]["data"][0]["id"] == file.name


def test_what_is_cached_of_a_conversation_is_told() -> None:
    """The next turn of a conversation reads all of the one before from the cache; another model's turn does not."""
    with running(context=2048) as server:
        first = server.client.create(model="antiphon-demo", input="Tell me a story. " * 20, max_output_tokens=30)
        assert first["usage"]["input_tokens_details"]["cached_tokens"] < 20
        said = first["usage"]["total_tokens"]
        events = server.client.stream(
            model="antiphon-demo", input="And then?", previous_response_id=first["id"], max_output_tokens=30
        )
        usage = events[-1]["response"]["usage"]
        assert said - 5 <= usage["input_tokens_details"]["cached_tokens"] <= usage["input_tokens"]


def test_several_answers_at_a_time() -> None:
    """As many requests as the engine has slots are answered together, not one after the other."""
    with running(models=[], parallel=3) as server:

        def ask(number: int) -> list[dict[str, Any]]:
            return server.client.stream(
                model="antiphon-demo", input=f"Tell me a story of {number}.", max_output_tokens=60
            )

        most = 0
        with ThreadPoolExecutor(3) as pool:
            answers = [pool.submit(ask, number) for number in range(3)]
            while not all(answer.done() for answer in answers):
                most = max(most, *(one["running"] for one in server.client.get("/admin/engine")[1]["data"]))
        assert most == 3
        assert {answer.result()[-1]["type"] for answer in answers} <= {"response.completed", "response.incomplete"}


def _lives(pid: int | None) -> bool:
    return subprocess.run(["kill", "-0", str(pid)], capture_output=True, check=False).returncode == 0
