"""docs/compared.md, of what `scripts/compare` saw: `python -m tests.conformance.compared_page` prints it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from antiphon.conformance.table import checks_of
from tests.conformance.rivals import RIVALS

Json = dict[str, Any]
COMPARED = Path(__file__).with_name("compared.json")
_PORT = re.compile(r"127\.0\.0\.1:\d+")
SIGNS = {"yes": "✓", "part": "(✓)", "no": "✗", "not offered": "–", "not tried": "?"}
HEAD = """# Compared

What `antiphon conform` ([conformance.md](conformance.md)) finds at other servers. Behind those that translate chat
completions stands a model by rule, which does what it is asked; all others run the demo model (3 million parameters), or pass on
to llama.cpp with it: what that model happens to say may change one or two of their marks from one run to the next.
`scripts/compare` installs and runs them, and writes this page; `scripts/compare --only litellm` one of them. The suite follows
the documents of the APIs, and comes with Antiphon. A server is compared as it is configured below: an option that is not named
was not tried. `--json` of `antiphon conform` gives the requests and answers behind each mark.

✓ right. (✓) it works, and something that the documents require is missing. ✗ wrong: clients break. – not offered, and the
server says so. The reasons stand below the table.
"""
CPU = """
## CPU per token

CPU time of servers that pass requests on, for each token of 64 streams at a time (`/v1/responses`, 200 tokens each), in one run
on one machine with the mock backend of `bench`: user and system time of all processes of the server, with `store: false`.

"""


def page() -> str:
    """Return the page."""
    kept: Json = json.loads(COMPARED.read_text())
    servers = {name: kept["servers"][name] for name in RIVALS if name in kept["servers"]}
    ran = {name: one for name, one in servers.items() if "outcomes" in one}
    parts = [HEAD, _servers(servers), _table(ran), _reasons(ran)]
    if kept.get("cpu"):
        parts.append(CPU + _cpu(kept["cpu"]))
    return "\n".join(parts)


def _servers(servers: Json) -> str:
    rows = [
        "",
        "## Servers",
        "",
        "| server | version | date | configuration | command |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, one in servers.items():
        rival = RIVALS[name]
        command = (
            f"`{_PORT.sub('127.0.0.1:PORT', one['command'])}`"
            if "command" in one
            else f"not run: {' '.join(one['failed'].split())[-200:]}"
        )
        rows.append(
            f"| {rival.title} | {one.get('version', '')} | {one['date']} | {rival.how} | {command} |".replace(
                "|  |", "| |"
            )
        )
    return "\n".join(rows) + "\n"


def _table(servers: Json) -> str:
    titles = [RIVALS[name].title for name in servers]
    rows = ["## Checks", "", f"| check | {' | '.join(titles)} |", "| --- |" + " --- |" * len(titles)]
    for check in checks_of():
        cells = [_cell(one["outcomes"].get(f"{check.area}: {check.name}")) for one in servers.values()]
        rows.append(f"| {check.area}: {check.name} | {' | '.join(cells)} |")
    counts = [_count(one["outcomes"]) for one in servers.values()]
    rows.append(f"| **✓ of {len(checks_of())}** | {' | '.join(counts)} |")
    return "\n".join(rows) + "\n"


def _cell(outcome: list[str] | None) -> str:
    return SIGNS[outcome[0]] if outcome else ""


def _count(outcomes: Json) -> str:
    return str(sum(outcome[0] == "yes" for outcome in outcomes.values()))


def _reasons(servers: Json) -> str:
    lines = ["## Reasons", ""]
    for name, one in servers.items():
        told = [(key, outcome) for key, outcome in one["outcomes"].items() if outcome[0] in ("part", "no")]
        if told:
            lines += [f"### {RIVALS[name].title} {one['version']}", ""]
            lines += [f"- {SIGNS[outcome[0]]} {key}: {_plain('; '.join(outcome[1:]))}" for key, outcome in told]
            lines.append("")
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Return a reason that Markdown shows as it is."""
    shown = text if len(text) <= 220 else f"{text[:220]} …"
    return "".join(f"\\{char}" if char in "\\*_<>[]|#`" else char for char in shown)


def _cpu(cpu: Json) -> str:
    rows = ["| server | CPU per token | requests that failed |", "| --- | --- | --- |"]
    rows += [f"| {one['title']} | {one['us']} | {one['errors']} |" for one in cpu["rows"]]
    return "\n".join(rows) + f"\n\nMeasured {cpu['date']} on {cpu['machine']}.\n"


if __name__ == "__main__":
    print(page(), end="")
