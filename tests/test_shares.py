"""Shares of the test files (`--share`): each file is in one of them, and they are of nearly one size."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shares import PARSES, others, parsed


@pytest.mark.parametrize("of", [1, 2, 3, 4, 16])
def test_each_file_is_in_one_share(tmp_path: Path, of: int) -> None:
    files = [tmp_path / f"test_{number}.py" for number in range(50)]
    for number, path in enumerate(files):
        path.write_text("x" * (number * 37 % 50))
    shares = [set(files) - others(files, number, of) for number in range(1, of + 1)]
    assert sorted(path for share in shares for path in share) == sorted(files)
    sizes = [sum(path.stat().st_size for path in share) for share in shares]
    assert max(sizes) - min(sizes) < 50  # less than the largest file


def test_files_that_read_the_source_are_together(tmp_path: Path) -> None:
    files = [tmp_path / f"test_{number}.py" for number in range(20)]
    for number, path in enumerate(files):
        path.write_text(f"{PARSES} nodes\n" if number % 5 == 0 else "x" * 40)
    assert not others(files, 1, 4) & set(files[::5])


def test_a_share_is_a_number_of_a_number() -> None:
    assert parsed("2/4") == (2, 4)


@pytest.mark.parametrize("text", ["", "2", "0/4", "5/4", "2/4/1", "-1/4", "a/b", "1/0", "1/1000"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NUMBER/OF"):
        parsed(text)
