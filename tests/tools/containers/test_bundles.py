"""Bundles of skills: what is taken, and that hostile archives end as a 400, with bounds kept."""

from __future__ import annotations

import io
import stat
import zipfile

import pytest

from antiphon.errors import InvalidRequest
from antiphon.tools.containers import bundles
from antiphon.tools.containers.bundles import MOST_UNPACKED, bundle_of_files, bundle_of_zip, unpacked
from antiphon.tools.containers.front_matter import front_matter
from tests.tools.containers.bundles import island, linked, manifest, zipped


def test_a_bundle_is_kept_as_its_files() -> None:
    bundle = bundle_of_zip(
        zipped({"rescue/SKILL.md": manifest(), "rescue/a/b.sh": "#!/bin/sh"}, stat.S_IFREG | 0o755), "f"
    )
    assert (bundle.name, bundle.description) == ("island-rescue", "How to be rescued from a lonely island")
    files = {file.path: file for file in unpacked(bundle.content)}
    assert files["a/b.sh"].content == b"#!/bin/sh" and files["a/b.sh"].executable
    assert set(files) == {"SKILL.md", "a/b.sh"}
    # The same files are the same bundle, however they come.
    given = [("x/a/b.sh", b"1"), ("x/SKILL.md", manifest().encode())]
    first, second = bundle_of_files(given, "f"), bundle_of_zip(zipped({path[2:]: data for path, data in given}), "f")
    assert (first.digest, first.content) == (second.digest, second.content)


def test_what_archives_of_a_mac_hold_is_passed_over() -> None:
    files = {"s/SKILL.md": manifest(), "__MACOSX/s/._SKILL.md": "x", "s/.DS_Store": "x"}
    assert [file.path for file in unpacked(bundle_of_zip(zipped(files), "f").content)] == ["SKILL.md"]


def bomb() -> bytes:
    return zipped({"SKILL.md": manifest(), "zeros": bytes(MOST_UNPACKED + 1)})


def lying_bomb() -> bytes:
    """Return a bomb whose directory says that it is small."""
    data = bytearray(bomb())
    place = data.rindex(b"PK\x01\x02")
    data[place + 24 : place + 28] = (100).to_bytes(4, "little")
    return bytes(data)


def many_parts() -> bytes:
    return zipped({"SKILL.md": manifest(), **{f"f/{n}": "x" for n in range(500)}})


def large_directory() -> bytes:
    """Return an archive that says its directory has 4 GB."""
    data = bytearray(island())
    place = data.rindex(b"PK\x05\x06")
    data[place + 12 : place + 16] = b"\xff" * 4
    return bytes(data)


def encrypted() -> bytes:
    data = bytearray(island(a="x"))
    for head, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.rindex(head)
        data[place + flags] |= 1
    return bytes(data)


def named(path: str) -> bytes:
    return zipped({"SKILL.md": manifest(), path: "x"})


def headed(text: str) -> bytes:
    return zipped({"SKILL.md": text})


HOSTILE = {
    "a bomb": bomb(),
    "a bomb that lies": lying_bomb(),
    "many parts": many_parts(),
    "a large directory": large_directory(),
    "a link": linked(),
    "a device": zipped({"SKILL.md": manifest(), "d": ""}, stat.S_IFCHR | 0o644),
    "encrypted": encrypted(),
    "packed by bzip2": zipped({"SKILL.md": manifest()}, method=zipfile.ZIP_BZIP2),
    **{f"the name {path!r}": named(path) for path in (
        "../a", "a/../../b", "/etc/passwd", "C:/a", "a\\..\\b", "a//b", "./a", "a\nb", "a/" * 20 + "b", "ä" * 200, "a/.."
    )},
    "a file below a file": zipped({"SKILL.md": manifest(), "a": "1", "a/b": "2"}),
    "no manifest": zipped({"README.md": "x"}),
    "a manifest too deep": zipped({"a/SKILL.md": manifest(), "b/x": "1"}),
    "no head": headed("# Rescue"),
    "no end of the head": headed("---\nname: a\ndescription: b\n"),
    "no name": headed("---\ndescription: b\n---\n"),
    "no description": headed("---\nname: a\n---\n"),
    "a name that is a path": headed("---\nname: ../../a\ndescription: b\n---\n"),
    "a long description": headed(f"---\nname: a\ndescription: {'b' * 1025}\n---\n"),
    "no zip": b"PK but no zip",
    "nothing": b"",
    "empty": zipped({}),
}  # fmt: skip


def doubled() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("SKILL.md", manifest())
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("SKILL.md", manifest("other"))
    return made.getvalue()


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused(case: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        bundle_of_zip(HOSTILE[case], "files")
    assert refused.value.param == "files"
    assert refused.value.code == ("skill_too_large" if "bomb" in case and "lies" not in case else refused.value.code)


def test_two_files_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="two files have one path"):
        bundle_of_zip(doubled(), "files")


def test_a_bundle_cut_anywhere_is_refused() -> None:
    whole = island(a=b"x" * 3000)
    for end in range(0, len(whole), 7):
        with pytest.raises(InvalidRequest):
            bundle_of_zip(whole[:end], "files")


def test_uploaded_files_keep_the_same_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    head = ("SKILL.md", manifest().encode())
    for path in ("../a", "/a", "a\\b"):
        with pytest.raises(InvalidRequest):
            bundle_of_files([head, (path, b"")], "files")
    with pytest.raises(InvalidRequest):
        bundle_of_files([head, *((f"f{n}", b"") for n in range(500))], "files")
    monkeypatch.setattr(bundles, "MOST_UNPACKED", 1000)
    with pytest.raises(InvalidRequest, match="at most"):
        bundle_of_files([head, ("a", bytes(1000))], "files")


@pytest.mark.parametrize(
    ("head", "description"),
    [
        ("description: plain # and a comment", "plain"),
        ('description: "quoted: \\"yes\\""', 'quoted: "yes"'),
        ("description: 'it''s'", "it's"),
        ("description: >-\n  two\n  lines\nlicense: MIT", "two lines"),
        ("description: |\n  two\n  lines", "two\nlines"),
        ("description: goes\n  on", "goes on"),
        ("metadata:\n  description: inner\ndescription: outer", "outer"),
        ("description:", ""),
    ],
)
def test_the_head_of_a_manifest(head: str, description: str) -> None:
    found = front_matter(f"\ufeff---\nname: a\n{head}\n---\nbody\n".encode())
    assert found is not None and (found["name"], found["description"]) == ("a", description)


def test_a_large_head_takes_linear_time() -> None:
    assert front_matter(b"---\n" + b"a: b\n" * 1_000_000) is None
    assert front_matter(b"---\n" + b" " * 5_000_000) is None
