"""The deployment files name what there is: settings, paths, ports."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

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


def test_the_chart_uses_values_that_it_has() -> None:
    chart = DEPLOY / "helm/antiphon"
    values = yaml.safe_load((chart / "values.yaml").read_text())
    templates = "".join(path.read_text() for path in (chart / "templates").iterdir())
    for name in set(re.findall(r"\.Values\.([\w.]+)", templates)):
        value = values
        for key in name.split("."):
            value = value[key]
    tomllib.loads(values["config"])
