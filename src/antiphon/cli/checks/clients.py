"""Which clients a model can serve: what each of them needs, as data."""

from __future__ import annotations

from typing import NamedTuple

from antiphon.cli.agents.claude import WINDOW
from antiphon.cli.checks.probes import Finding


class ClientNeeds(NamedTuple):
    """What a client needs of a model: calls of tools, and tokens of its window for the client's own prompt."""

    name: str
    tools: bool = False
    window: int = 0


CLIENTS = (
    ClientNeeds("chat"),
    ClientNeeds("Codex, opencode and other agents", tools=True),
    ClientNeeds("Claude Code --bare", tools=True, window=8192),
    ClientNeeds("Claude Code", tools=True, window=WINDOW),
)


def served(tools: bool, window: int | None) -> Finding:
    """Return which clients a model serves, and what the first of the others lacks."""
    fitting = [one.name for one in CLIENTS if (tools or not one.tools) and (window is None or window >= one.window)]
    note = "; ".join(fitting)
    lacking = next((one for one in CLIENTS if one.name not in fitting), None)
    if lacking is not None:
        why = f"a window of {lacking.window:,} tokens" if tools or not lacking.tools else "tool calls"
        note += f"; not {lacking.name}: it needs {why}"
    elif window is None:
        note += f", with a window of {WINDOW:,} tokens"
    return Finding("clients", True if lacking is None else None, note)
