"""Screen of `antiphon top`: two scrapes and the running requests → lines of text."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from antiphon.cli.monitor.scrape import ScrapeInterval

BOLD, DIM, RED, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[0m"
RESPONSES, EVENTS, TOKENS = "antiphon_responses_total", "antiphon_events_total", "antiphon_tokens_total"
FIRST, PACE = "antiphon_time_to_first_token_seconds", "antiphon_time_per_output_token_seconds"


class Running(msgspec.Struct):
    """A request in the answer of `/admin/requests`."""

    id: str
    model: str
    owner: str = ""
    duration: float = 0.0
    time_to_first_token: float | None = None
    events: int = 0


class RecentRequests(msgspec.Struct):
    """The body of `/admin/requests`."""

    running: list[Running] = []


def lines(url: str, window: ScrapeInterval, running: Sequence[Running], *, color: bool = True) -> list[str]:
    """Return the screen, line by line."""
    screen = [*_head(url, window), "", *_models(window), "", *_backends(window)]
    if running:
        screen += ["", *_requests(running)]
    return screen if color else [_bare(line) for line in screen]


def _head(url: str, window: ScrapeInterval) -> list[str]:
    now = window.after
    version = next(iter(now.values("antiphon_info", "version")), "?")
    born = now.least("process_start_time_seconds")
    workers = now.count("process_start_time_seconds")
    cpu = 100 * window.rate("process_cpu_seconds_total")
    memory = now.sum("process_resident_memory_bytes") / 1e6
    errors = sum(window.rate("antiphon_requests_total", status=status) for status in _bad(window))
    return [
        f"{BOLD}antiphon {version}{PLAIN}  {url}  up {_span(time.time() - born)}  "
        f"{workers} worker{'s' if workers > 1 else ''}  cpu {cpu:.0f} %  memory {memory:.0f} MB",
        f"running {now.sum('antiphon_responses_running'):.0f}  waiting {now.sum('antiphon_backend_waiting'):.0f}  "
        f"background {now.sum('antiphon_background_running'):.0f}  "
        f"websockets {now.sum('antiphon_websocket_connections'):.0f}  "
        f"requests {window.rate('antiphon_requests_total'):.1f}/s  {_alarm(errors > 0, f'errors {errors:.1f}/s')}",
    ]


def _models(window: ScrapeInterval) -> list[str]:
    now = window.after
    names = dict.fromkeys([*now.values("antiphon_responses_running", "model"), *now.values(RESPONSES, "model")])
    header = f"{'MODEL':30} {'running':>7} {'req/s':>6} {'events/s':>8} {'in tok/s':>8} {'ttft p50':>8} "
    header += f"{'p95':>7} {'ms/tok':>7} {'cached':>6} {'failed':>6}"
    return [f"{DIM}{header}{PLAIN}", *(_model(window, name) for name in names)]


def _model(window: ScrapeInterval, model: str) -> str:
    failed = window.more(RESPONSES, model=model, status="failed") + window.more(
        RESPONSES, model=model, status="refused"
    )
    pace = window.quantile(0.5, PACE, model=model)
    read, cached = window.more(TOKENS, model=model, kind="input"), window.more(TOKENS, model=model, kind="cached")
    return (
        f"{_cut(model, 30):30} {window.after.sum('antiphon_responses_running', model=model):7.0f} "
        f"{window.rate(RESPONSES, model=model):6.1f} {window.rate(EVENTS, model=model):8.0f} "
        f"{window.rate(TOKENS, model=model, kind='input'):8.0f} {_time(window.quantile(0.5, FIRST, model=model)):>8} "
        f"{_time(window.quantile(0.95, FIRST, model=model)):>7} {'-' if pace is None else f'{pace * 1000:.1f}':>7} "
        f"{f'{100 * cached / read:.0f} %' if cached and read else '-':>6} "
        f"{_alarm(failed > 0, f'{failed:6.0f}')}"
    )


def _backends(window: ScrapeInterval) -> list[str]:
    names = window.after.values("antiphon_backend_up", "backend")
    header = f"{'BACKEND':30} {'state':>7} {'busy':>6} {'waiting':>8} {'calls/s':>8} {'failed':>8}"
    return [f"{DIM}{header}{PLAIN}", *(_backend(window, name) for name in names)]


def _backend(window: ScrapeInterval, name: str) -> str:
    now = window.after
    up = now.sum("antiphon_backend_up", backend=name) > 0
    broken = now.sum("antiphon_backend_circuit_open", backend=name) > 0
    state = "open" if broken else "up" if up else "down"
    failed = window.more("antiphon_backend_failures_total", backend=name)
    return (
        f"{_cut(name, 30):30} {_alarm(state != 'up', f'{state:>7}')} "
        f"{now.sum('antiphon_backend_outstanding', backend=name):6.0f} "
        f"{now.sum('antiphon_backend_waiting', backend=name):8.0f} "
        f"{window.rate('antiphon_backend_calls_total', backend=name):8.1f} {_alarm(failed > 0, f'{failed:8.0f}')}"
    )


def _requests(running: Sequence[Running]) -> list[str]:
    header = f"{'RUNNING':30} {'model':20} {'owner':16} {'age':>6} {'ttft':>7} {'events':>7} {'per s':>6}"
    return [f"{DIM}{header}{PLAIN}", *map(_request, running)]


def _request(one: Running) -> str:
    first = one.time_to_first_token
    speaking = one.duration - first if first is not None else 0.0
    pace = f"{one.events / speaking:.0f}" if speaking > 0.1 else "-"
    return (
        f"{_cut(one.id, 30):30} {_cut(one.model, 20):20} {_cut(one.owner, 16):16} {_span(one.duration):>6} "
        f"{_time(first):>7} {one.events:7} {pace:>6}"
    )


def _bad(window: ScrapeInterval) -> list[str]:
    return [status for status in window.after.values("antiphon_requests_total", "status") if status >= "500"]


def _alarm(bad: bool, text: str) -> str:
    return f"{RED}{text}{PLAIN}" if bad else text


def _cut(text: str, width: int) -> str:
    printable = "".join(char if char.isprintable() else "?" for char in text)
    return printable if len(printable) <= width else printable[: width - 1] + "…"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _span(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.1f}{unit}"
    return f"{seconds:.0f}s"


def _bare(line: str) -> str:
    for code in (BOLD, DIM, RED, PLAIN):
        line = line.replace(code, "")
    return line
