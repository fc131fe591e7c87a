"""Sealed reasoning restores itself, and nothing else does."""

import pytest

from antiphon.sealing import Sealer


@pytest.mark.parametrize("text", ["", "thoughts", "ünïcödé 🧠\n" * 1000, "lone \ud800 surrogate"])
def test_what_is_sealed_comes_back(text):
    assert Sealer(["secret"]).open(Sealer(["secret"]).seal(text)) == text


def test_sealing_hides_and_never_repeats():
    sealer = Sealer(["secret"])
    assert "thoughts" not in sealer.seal("thoughts")
    assert sealer.seal("thoughts") != sealer.seal("thoughts")


def test_after_a_rotation_the_old_secret_still_opens():
    old = Sealer(["old"]).seal("x")
    rotated = Sealer(["new", "old"])
    assert rotated.open(old) == "x"
    assert Sealer(["old"]).open(rotated.seal("x")) is None


def test_another_key_a_change_and_nonsense_open_nothing():
    sealed = Sealer(["secret"]).seal("a long enough thought")
    flipped = sealed[:-6] + ("A" if sealed[-6] != "A" else "B") + sealed[-5:]
    for foreign in (Sealer(["other"]).seal("x"), flipped, sealed[:40], "gAAAAA", "", "ANT1.x.y", "ANT1..", "ANT1.é.é"):
        assert Sealer(["secret"]).open(foreign) is None


def test_a_sealer_needs_a_secret():
    with pytest.raises(ValueError, match="secret"):
        Sealer([])
