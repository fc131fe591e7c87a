"""Figures as a table on the terminal, and as `docs/performance.md`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bench import beside, scale_page, turns
from bench.lab import ROOT, Figures, request_cost, token_cost
from bench.recorded import GOALS, PEERS

NOTES = ROOT / "bench" / "notes"
"""Sections that are written by hand, of what other programs measure. They stand in the page as they are."""

BEFORE = "## Growth"
"""The section that comes after that of scale."""

PARTS_HEAD = "| part | repeats | commit | load average before → after |"

HEADER = (
    "| server | A64 ms/request | B µs/token | C µs/token | C transit p50 / p99 ms | D8 ms/request | RSS MB | start s |\n"
    "|---|---|---|---|---|---|---|---|"
)


def table(found: Figures) -> str:
    """Return the servers side by side, this checkout first."""
    rows = [_row("**Antiphon, `store: false`** (here)", found)]
    if "nginx C" in found:
        nginx = {name.removeprefix("nginx "): value for name, value in found.items() if name.startswith("nginx ")}
        rows.append(_row("nginx relaying the bytes (here)", nginx))
    rows += ["| " + " | ".join(peer) + " |" for peer in PEERS]
    return "\n".join((HEADER, *rows))


def _row(name: str, found: Figures) -> str:
    paced = found["C"]
    transit = f"{paced['transit_p50'] / 1000:.2f} / {paced['transit_p99'] / 1000:.2f}"
    cells = [
        f"{request_cost(found['A64']):.3f}",
        f"{token_cost(found['B']):.1f}",
        f"{token_cost(paced):.1f}",
        transit,
        f"{request_cost(found['D8']):.2f}",
        f"{found['rss']:.0f}" if "rss" in found else "–",
        f"{found['start']:.2f}" if "start" in found else "–",
    ]
    return f"| {name} | " + " | ".join(cells) + " |"


def goals(found: Figures) -> str:
    """Return each goal with what was found."""
    lines = ["| what | must | stretch | found | on another Python |", "|---|---|---|---|---|"]
    there = found.get("python", {}).get("costs", {})
    for name, goal in GOALS.items():
        value = found.get(name)
        sign = "≥" if name == "workers" else "≤"
        wants = f"{sign} {goal.must:g} {goal.unit} | {sign} {goal.stretch:g}"
        other = there[goal.load]["now"] / (1000 if goal.unit == "ms" else 1) if goal.load in there else None
        second = "–" if other is None else _verdict(name, other)
        lines.append(f"| {goal.what} | {wants} | {_verdict(name, value)} | {second} |")
    return "\n".join(lines)


def _verdict(name: str, value: float | None) -> str:
    if value is None:
        return "not measured"
    goal = GOALS[name]
    met = value >= goal.must if name == "workers" else value <= goal.must
    figure = f"{value:+.0f}" if goal.unit == "% more" else f"{value:.3g}"
    return f"{figure} {goal.unit.removesuffix(' more')}" + ("" if met else " (missed)")


def page(found: Figures, machine: str, command: str) -> str:
    """Return `docs/performance.md`."""
    return "\n\n".join(_sections(found, machine, command)) + "\n"


def renewed(page: str, found: Figures) -> str:
    """Return a page with what these figures tell of goals, of how parts were measured, and of scale; the rest as it was."""
    parts = found.get("measured", {})
    rows = [*goals(found).splitlines(), *_origins(parts).splitlines()]
    told = {row.split("|")[1]: row for row in rows[2:] if "not measured" not in row and not row.startswith("|---")}
    lines = [told.pop(line.split("|")[1], line) if line.startswith("|") else line for line in page.splitlines()]
    measured = lines.index(PARTS_HEAD) + 2
    lines[measured:measured] = [row for name, row in told.items() if name.strip() in parts]
    for heading, section in _apart(found).items():
        begin = next((n for n, line in enumerate(lines) if line == heading), lines.index(BEFORE))
        later = (n for n, line in enumerate(lines) if n >= begin and line.startswith("## ") and line != heading)
        lines[begin : next(later)] = [*section.splitlines(), ""]
    return "\n".join(lines) + "\n"


def _apart(found: Figures) -> dict[str, str]:
    """Return the sections that a run of their own renews, by their headings."""
    sections = {
        turns.PYTHON_HEADING: turns.python_section(found),
        scale_page.HEADING: scale_page.section(found),
        beside.HEADING: beside.section(found),
    }
    return {heading: section for heading, section in sections.items() if section}


def _sections(found: Figures, machine: str, command: str) -> Iterator[str]:
    yield "# Performance"
    yield "Benchmarks of this server beside others: CPU per request and token, added latency, memory."
    yield INTRODUCTION
    yield f"Measured with `{command}` on {machine}. Parts can be measured apart; each says how it was:"
    yield _origins(found["measured"])
    yield "## Comparison with other servers"
    yield "A64, B, C and D8 are loads: see [Method](#method)."
    yield table(found)
    yield PEERS_NOTE
    yield STORES_NOTE
    yield "## Goals"
    yield goals(found)
    yield from _apart(found).values()
    if "by API" in found:
        yield "## The Messages API"
        yield "CPU per token of `/v1/messages` beside `/v1/responses`, by turns in one run of the server, in µs:"
        rows = [f"| {name} | {one['Responses']:.2f} | {one['Messages']:.2f} |" for name, one in found["by API"].items()]
        yield "\n".join(("| load | Responses | Messages |", "|---|---|---|", *rows))
    if "against" in found:
        yield "## Against an earlier commit"
        yield f"CPU of this checkout and of {found['against']['commit']}, by turns (`scripts/bench --against COMMIT`):"
        yield turns.table(found["against"])
    if "by streams" in found:
        yield "## Growth"
        yield "CPU per token by number of streams, each paced:"
        yield _pairs(("streams", "µs/token"), found["by streams"])
        yield "CPU per token by length of the answer, flat out:"
        yield _pairs(("answer", "µs/token"), found["by tokens"])
    if "by turns" in found:
        yield (
            "One conversation of 1,000 turns with `previous_response_id`, about 1.3 kB of history per turn. Every turn sends "
            "the whole history to the backend, so its cost grows in proportion to the input:"
        )
        yield _pairs(("up to turn", "CPU ms per turn"), found["by turns"])
    if "memory" in found:
        yield "## Memory"
        yield "Of one server, `store: false`, after loads one behind the other:"
        yield _pairs(("load", "RSS MB"), found["memory"])
    yield "## On disk"
    yield (
        f"{found.get('bytes per response', 0):,.0f} bytes per stored response of 100 tokens with all its keys; "
        f"{found.get('bytes per turn', 0):,.0f} per turn of the conversation above: a turn stores its own items only; "
        f"{found.get('bytes per turn of a loop', 0):,.0f} per turn of an agent loop (L) whose requests hold 100 kB on average."
    )
    yield from (path.read_text().strip() for path in sorted(NOTES.glob("*.md")))
    yield METHOD


def _origins(measured: Mapping[str, Mapping[str, str]]) -> str:
    rows = [f"| {part} | {how['repeats']} | {how['commit']} | {how['load']} |" for part, how in measured.items()]
    return "\n".join((PARTS_HEAD, "|---|---|---|---|", *rows))


def _pairs(head: tuple[str, str], pairs: Mapping[object, float]) -> str:
    rows = [f"| {name} | {value:.2f} |" for name, value in pairs.items()]
    return "\n".join((f"| {head[0]} | {head[1]} |", "|---|---|", *rows))


INTRODUCTION = """A gateway's cost is CPU per request and per streamed token, the delay that it adds, and memory per open stream.
All figures are CPU time of the whole process tree, on one core, translating chat completions to Responses with validation.
Other work on a machine makes them larger (caches, sibling threads): look at the ratio to nginx in the same run."""

PEERS_NOTE = """The peers' figures were recorded on a shared two-core Xeon at 2.5 GHz; the rows marked "here" come from
the machine named above. nginx, which does nothing but relay, tells how the two compare.

SMG 1.13 (Rust, pass-through) was run on such a machine too, one server after the other, two repeats each, while other work took
0.5 to 1.6 cores (most during C, and more during Antiphon's A64 and B than during SMG's). CPU of Antiphon, SMG and nginx:
A64 0.246, 0.173, 0.013 ms; B 4.0, 19.1, 0.3 µs per token; C 60, 50, 27 µs per token. So Antiphon took a fifth of SMG's CPU
flat out, and more than SMG for short answers and for paced streams. That was before writes were gathered and tasks left asleep
(docs/decisions.md), which has taken a quarter off both since.

The machine's own speed changes by the hour: on the day of the table above, A64 was found between 0.17 and 0.23 ms, C between 34
and 48 µs, nginx in C between 12 and 21 µs. A whole run 90 minutes after that of the table gave 0.229 ms and 45.7 µs, with no
difference between the two commits when they were run by turns (0.205 and 0.209 ms, 43 and 41 µs).

What is left against nginx in C: of 36 µs per token, nginx's 12 are what reading and writing sockets costs; a stream of 100 tokens
itself (request, connection, first and last events: about 0.6 ms of CPU, run cold between tokens of others) makes 6, and
translating 18, which flat out (B) take 3: between two tokens caches are filled by others, and code and data come from slower
memory each time. A relay of the same bytes in Python on uvloop takes 13 to 15 µs per token there, as nginx does; every ten small
functions called between its read and its write add 4. Streams of 300 tokens take 28 to 34 µs per token, of which (`perf record
-e cpu-clock`) the kernel takes 46 %, the interpreter 38, uvloop 7, msgspec 3, libc 3, httptools 2.

Tried, and each within 3 % of the rest: pauses of 0.2 to 0.5 ms to gather tokens, handling all tokens of a turn of the loop in one
pass, Python 3.13, no garbage collector, memory in huge pages, a CPU that
never sleeps, five of the 22 function calls per token less.

A background stream was 40 % dearer than a foreground one as long as SQLite kept a row per event beside those of its own
response, which touched a page or two of every response at each commit. Now what a response has gathered is one row at the end of
one table: 11 and 12 % in two runs; 55 % in the table below, on a machine with a slower disk, where it was 68 at commit 12c7b209.

In the goals, loads that are passed on or stored are those of the comparison of two Pythons, by turns; the machine was a third
slower when those parts were measured."""

METHOD = """## Method

- `scripts/bench` runs everything and writes this page; `scripts/bench --only ordinary --repeats 1` takes half a minute.
- `scripts/bench --instructions` counts instructions instead: see [Instructions](#instructions).
- `scripts/bench --against COMMIT --loads L,C:passed` measures a commit and this checkout by turns; loads as for `--instructions`.
- `scripts/bench --python PROGRAM` measures this checkout on the Python of `.venv` and on another one by turns.
- `scripts/bench --beside agentic,sglang-router,nginx --loads A64,C,D8d` measures this checkout and other servers by turns, those
  that are installed in `$BENCH_HOME` (`bench/beside.py` tells how), with `--python PROGRAM` this checkout on that Python, too;
  `scripts/bench --only idle,many,workers,replicas --repeats 2`
  measures scale. All of them renew their sections alone.
- Sections of what other programs measure are written by hand, in `bench/notes`.
- `bench/harness` holds the mock backend and the load generator (C), and `bench.py`, which can hold any other server
  against them: `python3 bench/harness/bench.py run --base-url URL --pid PID`.
- The server is pinned to one CPU, mock and load generator to another, all at raised priority. CPU figures are the median of
  the repeats, delays the best one: what else runs on a machine can only make delays longer.
- Every token carries the time at which the mock wrote it, so the delay is what really passed between mock and client.
- A64: 64 requests at a time, not streamed. B: 64 streams of 200 tokens, as fast as it goes. C: 200 streams, a token every
  20 ms each. D8: 200 kB of input, 60 call items and 20 tools. E: a function call in 50 fragments with 20 tools.
- `bench/micro` measures single parts; CI runs it as a smoke test without looking at the figures.
- nginx is taken from the system where it is installed (`apt-get install nginx-light`)."""

STORES_NOTE = """\
## PostgreSQL against SQLite

A64 with `store: true`, CPU of the server's process (the SQLite writer's thread included, the database's processes not), each
store twice by turns, three repeats, on an otherwise idle machine whose cores were slow at that hour (A64 with `store: false`:
0.29 ms): SQLite 0.44 and 0.43 ms per request, PostgreSQL 0.39 and 0.34 ms. PostgreSQL's own processes took about a quarter of
a core beside it. So PostgreSQL costs the server no more than SQLite does; what it costs is a second process."""
