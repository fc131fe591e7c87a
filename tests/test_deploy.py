"""The deployment files name what there is: settings, paths, ports."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from antiphon.config import Config

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
SETTINGS = {field.name for field in msgspec.structs.fields(Config)} | {"backend", "config"}
FILES = [path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix != ".json"]


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_variables_are_settings(path: Path) -> None:
    named = {name.lower() for name in re.findall(r"ANTIPHON_([A-Z_]+)", path.read_text())}
    assert named <= SETTINGS


def test_the_image_copies_what_there_is() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert copied
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), name


def test_the_composition_hangs_together() -> None:
    composed = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = composed["services"]
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)
    upstreams = re.findall(r"server (\S+):8080", (DEPLOY / "nginx.conf").read_text())
    assert upstreams == [name for name in services if name.startswith("antiphon-")]


def test_the_balancer_has_room_for_streams() -> None:
    text = (DEPLOY / "nginx.conf").read_text()
    (connections,) = map(int, re.findall(r"worker_connections (\d+);", text))
    (files,) = map(int, re.findall(r"worker_rlimit_nofile (\d+);", text))
    assert connections > 20_000, "a stream takes two"
    assert files >= connections


def test_monitoring_is_composed_of_files_and_servers_that_there_are() -> None:
    servers = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    added = yaml.safe_load((DEPLOY / "compose.monitoring.yaml").read_text())
    services = {**servers["services"], **added["services"]}
    for name, service in added["services"].items():
        assert set(service.get("depends_on", ())) <= set(services)
        if name not in servers["services"]:
            assert "no-new-privileges:true" in service["security_opt"] and service["cap_drop"] == ["ALL"]
            assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in added["volumes"]
    scraped = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    (job,) = scraped["scrape_configs"]
    targets = [target.partition(":")[0] for one in job["static_configs"] for target in one["targets"]]
    assert targets == [name for name in servers["services"] if name.startswith("antiphon-")]
    assert all((DEPLOY / "prometheus" / file).exists() for file in scraped["rule_files"])
    assert job["authorization"]["credentials_file"].rpartition("/")[2] in added["secrets"]
    (source,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert source["type"] == "prometheus" and "prometheus:9090" in source["url"]


def test_the_chart_uses_values_that_it_has() -> None:
    chart = DEPLOY / "helm/antiphon"
    values = yaml.safe_load((chart / "values.yaml").read_text())
    templates = "".join(path.read_text() for path in (chart / "templates").iterdir())
    for name in set(re.findall(r"\.Values\.([\w.]+)", templates)):
        value = values
        for key in name.split("."):
            value = value[key]
    tomllib.loads(values["config"])


def test_the_schema_of_values_knows_each_value_and_no_other() -> None:
    chart = DEPLOY / "helm/antiphon"
    schema = json.loads((chart / "values.schema.json").read_text())
    values = yaml.safe_load((chart / "values.yaml").read_text())

    def compare(schema: dict[str, Any], values: dict[str, Any], path: str) -> None:
        assert schema["additionalProperties"] is False, path
        assert schema["properties"].keys() - {"global"} == values.keys(), path
        for name, value in values.items():
            below = schema["properties"][name]
            if isinstance(value, dict) and "properties" in below:
                compare(below, value, f"{path}.{name}")

    compare(schema, values, "")


def test_a_drain_is_never_blocked() -> None:
    budget = (DEPLOY / "helm/antiphon/templates/service.yaml").read_text()
    assert "maxUnavailable:" in budget and "minAvailable" not in budget
