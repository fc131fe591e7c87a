"""The map in docs/design.md names every module of the package once, in the folder where it lies."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "antiphon"
WIDEST = 120


def _map() -> list[str]:
    text = (ROOT / "docs" / "design.md").read_text()
    start = text.index("```\nsrc/antiphon/") + len("```\n")
    return text[start : text.index("\n```", start)].splitlines()


def _modules() -> list[str]:
    """Return the modules on the map, `folder/name`. A folder's line is not indented, its modules' lines are."""
    found: list[str] = []
    folder = ""
    for line in filter(None, _map()):
        name, _, said = line.strip().partition("  ")
        if line.startswith("  "):
            assert said.strip(), f"{name}: say what it holds"
            found.append(folder + name)
        else:
            assert name.endswith("/"), line
            folder = name.removeprefix("src/antiphon/")
    return found


def test_every_module_is_on_the_map_once() -> None:
    named = _modules()
    there = {
        path.relative_to(SOURCE).with_suffix("").as_posix()
        for path in SOURCE.rglob("*.py")
        if path.name != "__init__.py"
    }
    assert sorted(set(named)) == sorted(named)
    assert there - set(named) == set(), "put them on the map in docs/design.md"
    assert set(named) - there == set(), "these are gone"


def test_a_line_of_the_map_fits_a_screen() -> None:
    assert not [line for line in _map() if len(line) > WIDEST]
