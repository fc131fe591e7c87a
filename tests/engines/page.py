"""The part of docs/backends.md on real engines: what `scripts/acceptance engines --record` saw, and why."""

from __future__ import annotations

import json
from pathlib import Path

from tests.engines.engines import ENGINES
from tests.engines.limits import LIMITS, Limit

SEEN = Path(__file__).with_name("seen.json")
RIGHT, LIMIT, WRONG = "✓", "=", "✗"
APIS = {"chat": "chat completions", "responses": "Responses"}
HEAD = """
## Real engines

Seen with the demo model, behind `antiphon serve`, by `scripts/acceptance engines`, which installs and runs these engines: each
feature whole, streamed, in background and over WebSocket. ✓: right in all of them. A number: a limit of the engine, which the
client is told as the list below says. The second row is the API of the engine that is asked.

"""

Seen = dict[str, dict[str, str]]


def seen() -> Seen:
    """Return the marks that were kept: by `ENGINE API`, then by feature."""
    kept: Seen = json.loads(SEEN.read_text())
    return kept


def section() -> str:
    """Return the section."""
    marks = seen()
    columns = [(name, api) for name, engine in ENGINES.items() for api in engine.apis if f"{name} {api}" in marks]
    numbers = {limit.reason: number for number, limit in enumerate(_met(columns, marks), 1)}
    rows = [
        ["Feature", *(_title(name) for name, _ in columns)],
        ["---", *("---" for _ in columns)],
        ["", *(APIS[api] for _, api in columns)],
    ]
    for feature in dict.fromkeys(feature for column in marks.values() for feature in column):
        cells = [_cell(marks[f"{name} {api}"].get(feature, ""), name, api, feature, numbers) for name, api in columns]
        rows.append([feature, *cells])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    reasons = "\n".join(f"{number}. {reason}" for reason, number in numbers.items())
    return f"{HEAD}{table}\n\n{reasons}\n"


def _title(name: str) -> str:
    engine = ENGINES[name]
    front = f" in front of {ENGINES[engine.behind].title}" if engine.behind else ""
    return f"{engine.title} {engine.version}{front}"


def _met(columns: list[tuple[str, str]], marks: Seen) -> list[Limit]:
    """Return the limits of these columns, in the order of the table."""
    return [limit for limit in LIMITS if any(_of(limit, name, api, marks) for name, api in columns)]


def _of(limit: Limit, name: str, api: str, marks: Seen) -> list[str]:
    """Return the features of a column that a limit is about."""
    modes = limit.modes or ("",)
    features = marks[f"{name} {api}"]
    return [feature for feature in features if any(limit.covers(name, api, feature, mode) for mode in modes)]


def _cell(mark: str, name: str, api: str, feature: str, numbers: dict[str, int]) -> str:
    found = [limit for limit in LIMITS if any(limit.covers(name, api, feature, mode) for mode in limit.modes or ("",))]
    if mark == RIGHT and not any(limit.sometimes for limit in found):
        return RIGHT
    return ", ".join(str(numbers[limit.reason]) for limit in found) or mark
