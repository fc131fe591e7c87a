"""A release's version is in all its places; what was built is refused where it is not what it should be."""

from __future__ import annotations

import datetime
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.acceptance.version import PLACES, ROOT, current, faults, set_version, spelled

DAY = datetime.date(2030, 1, 2)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in (*(name for name, _ in PLACES), "CHANGELOG.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def test_a_version_is_set_everywhere(copy: Path) -> None:
    set_version(copy, current(), "7.8.9", DAY)
    assert all(spelled(name, form, "7.8.9") in (copy / name).read_text() for name, form in PLACES)
    assert "## [Unreleased]\n\n## [7.8.9] - 2030-01-02\n\n### " in (copy / "CHANGELOG.md").read_text()


def test_a_chart_of_a_candidate_has_a_semantic_version(copy: Path) -> None:
    set_version(copy, current(), "7.8.9rc1", DAY)
    chart = (copy / "deploy/helm/antiphon/Chart.yaml").read_text()
    assert "\nversion: 7.8.9-rc1\n" in chart and 'appVersion: "7.8.9-rc1"' in chart
    assert "tag: 7.8.9rc1\n" in (copy / "deploy/helm/antiphon/values.yaml").read_text()


def test_no_file_that_is_released_says_the_version_elsewhere() -> None:
    """A place that nobody sets would stay behind: a bill of materials or a chart of another version."""
    known = {name for name, _ in PLACES}
    for folder in ("deploy", "src"):
        for path in (ROOT / folder).rglob("*"):
            name = str(path.relative_to(ROOT))
            if path.suffix in (".yaml", ".toml", ".json", ".py", ".txt", ".service") and name not in known:
                assert f'"{current()}"' not in path.read_text(), name
                assert f":{current()}" not in path.read_text() or path.suffix == ".json", name


@pytest.mark.parametrize("version", ["1", "1.2", "v1.2.3", "1.2.3.4", "1.2.3-rc1", "1.2.3\n"])
def test_what_is_no_version_is_refused(copy: Path, version: str) -> None:
    with pytest.raises(ValueError, match="is not a version"):
        set_version(copy, current(), version, DAY)


def test_a_changelog_without_news_is_refused(copy: Path) -> None:
    (copy / "CHANGELOG.md").write_text("## [Unreleased]\n\n## [0.1.0] - 2026-01-01\n")
    with pytest.raises(ValueError, match="nothing under"):
        set_version(copy, current(), "7.8.9", DAY)


@pytest.mark.slow
def test_what_is_built_is_as_it_should_be_and_anything_else_is_told(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    assert faults(tmp_path, current()) == []
    assert faults(tmp_path, "7.8.9") == [
        f"Version is '{current()}', not '7.8.9'",
        f"the bill of materials is of '{current()}', not '7.8.9'",
    ]
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("tests/left.py", "")
    assert faults(tmp_path, current()) == ["tests/left.py does not belong into the wheel"]
    wheel.unlink()
    assert faults(tmp_path, current()) == ["one wheel and one source distribution are wanted, there are 0 and 1"]
