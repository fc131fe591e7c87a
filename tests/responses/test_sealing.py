"""A seal opens for its owner, as what it was made for, within its bounds, and nothing else opens."""

import tracemalloc
import zlib
from base64 import urlsafe_b64encode

import pytest

from antiphon.core.seals import is_seal
from antiphon.responses.sealing import MOST_BYTES, ONLY_OWNER, Sealer, SealError

A = "alice"


def sealed(text="thoughts", kind="reasoning", owner=A, secret="secret"):
    return Sealer([secret]).seal(text, kind, owner)


def refused(seal, kind="reasoning", owner=A, secret="secret"):
    with pytest.raises(SealError):
        Sealer([secret]).open(seal, kind, owner)
    return True


def first_version(text, secret="secret"):
    """Seal as the first version did."""
    sealer = Sealer([secret])
    key_id, cipher = next(iter(sealer._load().items()))
    box = cipher.encrypt(b"n" * 12, zlib.compress(text.encode(), 9), b"ANT1")
    return f"ANT1.{key_id}.{urlsafe_b64encode(b'n' * 12 + box).decode()}"


@pytest.mark.parametrize("kind", ["reasoning", "compaction", "job"])
@pytest.mark.parametrize("text", ["", "thoughts", "ünïcödé 🧠\n" * 1000, "lone \ud800 surrogate"])
def test_what_is_sealed_comes_back(text, kind):
    assert Sealer(["secret"]).open(sealed(text, kind), kind, A) == text


def test_sealing_hides_and_never_repeats():
    assert "thoughts" not in sealed()
    assert sealed() != sealed()


def test_after_a_rotation_the_old_secret_still_opens():
    old = Sealer(["old"]).seal("x", "reasoning", A)
    rotated = Sealer(["new", "old"])
    assert rotated.open(old, "reasoning", A) == "x"
    assert refused(rotated.seal("x", "reasoning", A), secret="old")


@pytest.mark.parametrize("owner", ["bob", "", "alice ", "Alice", "alice.x"])
def test_another_owner_opens_nothing(owner):
    assert refused(sealed(), owner=owner)


@pytest.mark.parametrize("made", ["reasoning", "compaction", "job"])
@pytest.mark.parametrize("wanted", ["reasoning", "compaction", "job"])
def test_a_seal_is_good_for_one_purpose(made, wanted):
    if made == wanted:
        assert Sealer(["secret"]).open(sealed(kind=made), wanted, A) == "thoughts"
    else:
        assert refused(sealed(kind=made), kind=wanted)


@pytest.mark.parametrize("part", range(5))
def test_no_part_of_a_seal_can_be_changed(part):
    good = sealed("a long enough thought")
    for change in ("", "0", "1", "9" * 40, "x", "é", "compaction", "ANT1", "ANT3", good):
        parts = good.split(".")
        if parts[part] != change:
            parts[part] = change
            assert refused(".".join(parts))


@pytest.mark.parametrize(
    "text", ["", ".", "gAAAAA", "ANT1.x.y", "ANT1..", "ANT1.é.é", "ANT2....", "ANT2.x.reasoning.-1.y"]
)
def test_nonsense_and_a_foreign_key_open_nothing(text):
    assert refused(text)
    assert refused(sealed(secret="other"))
    assert refused(sealed()[:40])


@pytest.mark.slow
def test_a_seal_that_inflates_to_much_is_refused_before_it_does():
    large = Sealer(["secret"]).seal("a" * 64_000_000, "job", A)
    pretender = large.replace(".job.", ".reasoning.")
    assert len(pretender) < 1_000_000
    bomb = first_version("a" * 64_000_000)
    tracemalloc.start()
    try:
        assert refused(pretender)
        assert refused(bomb, owner=ONLY_OWNER)
        assert tracemalloc.get_traced_memory()[1] < 4 * MOST_BYTES
    finally:
        tracemalloc.stop()


def test_what_could_not_be_opened_again_is_not_sealed():
    with pytest.raises(SealError, match=str(MOST_BYTES)):
        sealed("a" * (MOST_BYTES + 1))


def test_seals_of_the_first_version_open_where_there_is_one_owner():
    assert Sealer(["secret"]).open(first_version("old"), "reasoning", ONLY_OWNER) == "old"
    assert refused(first_version("old"), owner=A)


def test_the_size_is_known_without_opening():
    sealer = Sealer(["secret"])
    assert sealer.size(sealed("12345")) == 5
    assert sealer.size(first_version("12345")) == MOST_BYTES
    assert sealer.size("gAAAAA") == 0


def test_which_seals_are_ours():
    assert is_seal(sealed())
    assert is_seal(first_version("x"))
    assert not any(map(is_seal, ("", "gAAAAAB.x", "ANT", "ANTX.y", "ANT2")))


def test_a_signature_holds_for_its_texts_in_their_order():
    sealer, rotated = Sealer(["secret"]), Sealer(["new", "secret"])
    signature = sealer.sign("a", "bc")
    assert sealer.signed(signature, "a", "bc")
    assert rotated.signed(signature, "a", "bc")
    for texts in (("ab", "c"), ("a", "bc", ""), ("a",), ("bc", "a"), ("a", "b\ud800")):
        assert not sealer.signed(signature, *texts)
    assert not Sealer(["other"]).signed(signature, "a", "bc")
    assert not sealer.signed("é\ud800", "a", "bc")


def test_a_sealer_needs_a_secret():
    with pytest.raises(ValueError, match="secret"):
        Sealer([])
