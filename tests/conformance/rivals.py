"""Servers that docs/compared.md compares: how each is started, as data. Those of `tests/engines` are started as there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.command import serving
from tests.engines.engines import ENGINES, KEY, backend_model, started
from tests.engines.install import install, python_of

LLAMA_CPP = "llama_cpp"


@dataclass(frozen=True)
class Rival:
    """A server: its row of `tests/engines`, "" for this one. `how`: its configuration in words."""

    title: str
    engine: str
    how: str
    package: str = ""
    by_hand: bool = False


RIVALS: Mapping[str, Rival] = {
    "antiphon": Rival("Antiphon", "", "in front of llama.cpp; store in an SQLite file, else as it comes"),
    "agentic_api": Rival("agentic-api", "agentic_api", "in front of llama.cpp; store in an SQLite file", "agentic-api"),
    "ogx": Rival(
        "OGX", "ogx", "in front of llama.cpp as `remote::vllm`; stores in SQLite files; no embedding model", "ogx"
    ),
    "litellm": Rival("LiteLLM", "litellm", "in front of llama.cpp as `openai/`; a master key, no database", "litellm"),
    "llama_cpp": Rival("llama.cpp", "llama_cpp", "its server, by xllamacpp, with 4 slots", "xllamacpp"),
    "llama_cpp_python": Rival(
        "llama-cpp-python", "llama_cpp_python", "`llama_cpp.server`, one request at a time", "llama-cpp-python"
    ),
    "transformers": Rival("transformers serve", "transformers", "on the CPU", "transformers"),
    "vllm": Rival("vLLM", "vllm", "the CPU build; `--enable-auto-tool-choice --tool-call-parser hermes`", "vllm", True),
}


@dataclass(frozen=True)
class Started:
    """A server that runs: its base URL, key, model, version, and the command that started it."""

    url: str
    key: str
    model: str
    version: str
    command: str


@contextmanager
def running(name: str, folder: Path) -> Iterator[Started]:
    """Run a server, and the engine behind it, until the block ends. Raises RuntimeError, CalledProcessError."""
    rival = RIVALS[name]
    with ExitStack() as stack:
        if not rival.engine:
            behind = stack.enter_context(started(LLAMA_CPP, folder)).url
            settings = ("--backend", behind, "--store", "store.db")
            command = stack.enter_context(serving(folder, *settings, log=folder / "antiphon.log"))
            shown = "antiphon serve --backend http://127.0.0.1:PORT/v1 --store store.db"
            yield Started(f"{command.url}/v1", "", "demo", _own_version(), shown)
            return
        engine = ENGINES[rival.engine]
        install(rival.engine, *engine.steps)
        behind = stack.enter_context(started(engine.behind, folder)).url if engine.behind else ""
        run = stack.enter_context(started(rival.engine, folder, behind))
        version = _version(rival.engine, rival.package) if engine.steps or engine.by_hand else engine.version
        command_line = _shown(engine.command(run.place), run.place.port, folder)
        yield Started(run.url, KEY, backend_model(engine), version, command_line)


def _own_version() -> str:
    from antiphon import __version__

    return __version__


def _version(engine: str, package: str) -> str:
    program = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
    return subprocess.run([python_of(engine), "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def _shown(command: object, port: int, folder: Path) -> str:
    """Return a command without what is this machine's or this run's."""
    assert isinstance(command, list | tuple)
    words = [str(word) for word in command]
    words[0] = Path(words[0]).name.replace("python3", "python")
    words = [word.replace(str(folder), "FOLDER").replace(str(port), "PORT") for word in words]
    return " ".join(Path(word).name if word.startswith("/") else word for word in words)
