"""Engines are installed from PyPI, each in a virtual environment of its own, and kept outside the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODEL_FILE = ROOT / "src/antiphon/backends/llama/demo/antiphon-demo.gguf"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "antiphon-engines"
"""Environments and the model as a folder: remove it, and the next run installs anew."""


def python_of(name: str) -> str:
    """Return the Python of an engine's environment."""
    return str(CACHE / name / "bin/python")


def program_of(name: str, program: str) -> str:
    """Return a program of an engine's environment."""
    return str(CACHE / name / "bin" / program)


def install(name: str, *steps: Sequence[str]) -> None:
    """Make an environment with what each step of pip installs, unless it is there. Raises CalledProcessError."""
    if not steps:
        return
    wanted = "\n".join(" ".join(step) for step in steps)
    done = CACHE / name / ".installed"
    if done.is_file() and done.read_text() == wanted:
        return
    begin = time.monotonic()
    print(f"{name}: installing {', '.join(step[0] for step in steps)} in {CACHE / name}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(CACHE / name)], check=True)
    for step in steps:
        pip = [python_of(name), "-m", "pip", "-q", "--disable-pip-version-check", "install", *step]
        subprocess.run(pip, check=True)
    done.write_text(wanted)
    print(f"{name}: installed in {time.monotonic() - begin:.0f} s", flush=True)


def model_folder(name: str) -> Path:
    """Return the demo model as a folder for transformers and vLLM, made by the Python of engine `name`."""
    folder = CACHE / "demo"
    if not (folder / "model.safetensors").is_file():
        program = str(Path(__file__).with_name("hf_model.py"))
        made = [python_of(name), program, str(MODEL_FILE), str(ROOT / "demo_model"), str(folder)]
        subprocess.run(made, check=True)
    return folder
