"""What the Python scenarios share. BASE_URL, API_KEY and MODEL come from the environment."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BASE_URL = os.environ["BASE_URL"]
API_KEY = os.environ.get("API_KEY", "none")
MODEL = os.environ.get("MODEL", "played")
MCP_URL = os.environ["MCP_URL"]


def play(text: str, *steps: dict[str, Any]) -> str:
    """Return a prompt that tells the model what to answer: see play.py."""
    return f"{text} <play>{','.join(map(json.dumps, steps))}</play>"


def has(text: str, part: str) -> None:
    """Assert that a text holds another."""
    assert part in text, f"{part!r} is not in {text!r}"


def same(seen: object, wanted: object) -> None:
    """Assert that two values are equal."""
    assert seen == wanted, f"{seen!r} is not {wanted!r}"


def scenario(body: Callable[[], None]) -> None:
    """Run one scenario: prints its verdict and ends the process."""
    name = Path(sys.argv[0]).stem
    try:
        body()
    except BaseException:
        print(f"FAIL {name}: {traceback.format_exc()}", flush=True)
        os._exit(1)
    print(f"PASS {name}", flush=True)
    os._exit(0)
