"""The dashboard asks for metrics that the server has."""

from __future__ import annotations

import json
import re
from pathlib import Path

from antiphon.server.process.loop_watch import LoopWatch
from antiphon.telemetry.gauges import Gauges
from antiphon.telemetry.metrics import Metrics
from antiphon.telemetry.prometheus import Histogram, Samples

ROOT = Path(__file__).parents[2]


def _names() -> set[str]:
    parts = (Gauges(list, lambda: 0, lambda: 0), LoopWatch().samples)
    page = Metrics(lambda: [family for part in parts for family in part()]).scrape().decode()
    names: set[str] = set()
    for name, kind in re.findall(r"# TYPE (\S+) (\S+)", page):
        names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return names


def test_every_metric_of_the_dashboard_is_there() -> None:
    board = json.loads((ROOT / "deploy/grafana/antiphon.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    asked += [variable["query"]["query"] for variable in board["templating"]["list"][1:]]
    wanted = {name for text in asked for name in re.findall(r"\b((?:antiphon|process)_\w+)", text)}
    assert len(wanted) > 15
    assert wanted <= _names()
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_every_metric_is_documented() -> None:
    page = (ROOT / "docs/observability.md").read_text()
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in _names()}
    documented = {*re.findall(r"`((?:antiphon|process)_\w+)`", page)}
    documented |= {f"antiphon_backend{name}" for name in re.findall(r"`…(_\w+)`", page)}
    assert not families - documented


def test_families_know_their_kind() -> None:
    assert [Samples(name, "").kind for name in ("a_total", "a")] == ["counter", "gauge"]
    assert Histogram("a", "", ()).kind == "histogram"
