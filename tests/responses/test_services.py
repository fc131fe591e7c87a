"""Ids."""

from __future__ import annotations

from antiphon.responses.services import new_id_base


def test_ids_of_one_moment_differ_and_sort_by_age() -> None:
    ids = [new_id_base() for _ in range(10_000)]
    assert ids == sorted(set(ids))
    assert {len(each) for each in ids} == {48} and int(ids[0], 16)
