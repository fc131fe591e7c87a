"""Packages that are not installed: only their entry points are there."""

from __future__ import annotations

from pathlib import Path

import pytest


def add_package(folder: Path, monkeypatch: pytest.MonkeyPatch, points: dict[str, str], name: str = "example") -> None:
    """Let a package be found: `points` are lines `name = module:object` by group."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("".join(f"[{group}]\n{line}\n" for group, line in points.items()))
    monkeypatch.syspath_prepend(str(folder))
