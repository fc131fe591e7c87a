"""The dashboard asks for metrics that the server has."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import yaml

from antiphon.server.process.loop_watch import LoopWatch
from antiphon.stores.open import open_memory, open_sqlite
from antiphon.stores.postgres.connection import upkeep
from antiphon.telemetry.gauges import Gauges
from antiphon.telemetry.metrics import Metrics
from antiphon.telemetry.prometheus import Histogram, Samples
from antiphon.telemetry.store_metrics import StoreWatch

ROOT = Path(__file__).parents[2]


POSTGRES = {"connections", "connections_wanted", "retries_total", "listening"}
"""Figures of a store in PostgreSQL, which is not there for this test (`stores/postgres/connection/upkeep.py`)."""


class NoHandovers:
    """Take-overs of a process that made none."""

    taken_over = 0
    lost = 0


def _names() -> set[str]:
    watch = StoreWatch(open_memory().database, lambda: 0.0, NoHandovers)
    parts = (Gauges(list, lambda: 0, lambda: 0), LoopWatch().samples, watch)
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


def test_every_metric_of_the_alert_rules_is_there(tmp_path: Path) -> None:
    (group,) = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())["groups"]
    asked = [rule["expr"] for rule in group["rules"]]
    wanted = {name for text in asked for name in re.findall(r"\b((?:antiphon|process)_\w+)", text)}
    store = open_sqlite(tmp_path / "a.db").database
    stored = {f"antiphon_store_{name}" for name in {*POSTGRES, *(each.name for each in store.measures())}}
    assert wanted <= _names() | stored
    for topic in ("store_up", "taken_over", "lost", "oldest", "webhook", "wanted", "loop_delay", "cpu", "max_fds"):
        assert any(topic in name for name in wanted), topic
    assert len({rule["alert"] for rule in group["rules"]}) == len(group["rules"])
    assert all(rule["labels"]["severity"] in ("warning", "critical") for rule in group["rules"])
    assert all(rule["annotations"]["summary"] for rule in group["rules"])


def test_figures_of_postgresql_are_those_that_it_tells() -> None:
    told = set(re.findall(r'name="(\w+)"', inspect.getsource(upkeep)))
    assert told >= POSTGRES


def test_every_metric_is_documented() -> None:
    page = (ROOT / "docs/observability.md").read_text()
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in _names()}
    documented = {*re.findall(r"`((?:antiphon|process)_\w+)`", page)}
    documented |= {f"antiphon_backend{name}" for name in re.findall(r"`…(_\w+)`", page)}
    assert not families - documented


def test_families_know_their_kind() -> None:
    assert [Samples(name, "").kind for name in ("a_total", "a")] == ["counter", "gauge"]
    assert Histogram("a", "", ()).kind == "histogram"
