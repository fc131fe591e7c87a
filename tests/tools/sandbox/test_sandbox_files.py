"""Files of a sandbox: in and out, below one folder, of odd names and kinds, larger than there is room for."""

from __future__ import annotations

import os

import pytest

from antiphon.tools.sandbox.base import SandboxFileError, SandboxKind
from antiphon.tools.sandbox.process import SandboxProcess

from .conftest import ask


async def test_files_go_in_and_out(sandbox: SandboxProcess) -> None:
    content = os.urandom(3 << 20)
    await sandbox.write("folder/a.bin", content)
    await sandbox.write("empty", b"")
    asked = await ask(sandbox, "open('b.txt', 'w').write(str(len(open('folder/a.bin', 'rb').read())))")
    assert list(asked.ended.changed) == [("b.txt", 7)]
    assert await sandbox.read("b.txt", 100) == str(3 << 20).encode()
    assert await sandbox.read("folder/a.bin", 4 << 20) == content
    asked = await ask(sandbox, "import os; os.remove('folder/a.bin'); open('b.txt', 'a').write('!')")
    assert (list(asked.ended.changed), list(asked.ended.gone)) == ([("b.txt", 8)], ["folder/a.bin"])
    await sandbox.remove("b.txt")
    assert (await ask(sandbox, "os.listdir('.')")).text == "['empty', 'folder']\n"
    assert not (await ask(sandbox, "1")).ended.changed


async def test_paths_stay_in_the_folder(sandbox: SandboxProcess) -> None:
    for path in ("", ".", "..", "/etc/passwd", "../x", "a/../../x", "a//b", "a\n", "a" * 300, "/".join("a" * 20)):
        for action in (sandbox.read(path, 10), sandbox.write(path, b"x"), sandbox.remove(path)):
            with pytest.raises(SandboxFileError):
                await action
    assert sandbox.alive


async def test_links_pipes_and_odd_names_are_no_files(kind: SandboxKind, sandbox: SandboxProcess) -> None:
    if kind.name == "sandlock":
        pytest.skip("sandlock makes no such links")
    code = """
import os
os.symlink('/etc/hostname', 'link'); os.symlink('/usr', 'usr'); os.mkfifo('pipe')
open(b'\\xff', 'w').close(); open('a\\nb', 'w').close(); open('good', 'w').write('1234')
"""
    asked = await ask(sandbox, code)
    assert (list(asked.ended.changed), asked.ended.odd) == ([("good", 4)], 5)
    for name in ("link", "pipe", "usr"):
        with pytest.raises(SandboxFileError):
            await sandbox.read(name, 100)
    with pytest.raises(SandboxFileError, match="more than 3 bytes"):
        await sandbox.read("good", 3)


ODD_FILES = """
import os
big = "x" * 255
os.makedirs("/".join([big[:200]] * 4), exist_ok=True)
open("/".join([big[:200]] * 4) + "/file", "w").close()  # a path that is too long
open(big, "w").write("1")
open("\u202egnp.exe", "w").close()  # one that shows itself otherwise
open("a\\x1b[2J", "w").close()
os.makedirs("/".join("d" * 40)); open("/".join("d" * 40) + "/deep", "w").close()
with open("sparse", "wb") as file: file.truncate(20 << 20)
os.chmod("sparse", 0o6777)
os.link("sparse", "hard")
os.mkfifo("wait")
for n in range(1200): open(f"zz-{n:04}", "w").close()
"""


async def test_files_with_odd_names_and_kinds_are_counted_and_left(kind: SandboxKind, sandbox: SandboxProcess) -> None:
    code = ODD_FILES
    if kind.name == "sandlock":  # it makes neither
        code = code.replace('os.link("sparse", "hard")', "").replace('os.mkfifo("wait")', "")
    asked = await ask(sandbox, code, 60)
    assert asked.ended.ok, asked.text
    changed = dict(asked.ended.changed)
    assert len(changed) == 1000 and asked.ended.odd > 200
    assert "x" * 255 in changed and not [path for path in changed if not path.isprintable() or len(path) > 512]
    assert not {"wait", "a\x1b[2J"} & {*changed} and not [path for path in changed if path.startswith("d/")]
    with pytest.raises(SandboxFileError):
        await sandbox.read("wait", 10)  # without waiting for somebody to write
    assert (await ask(sandbox, "1")).text == "1\n"


async def test_a_file_cannot_be_larger_than_the_folder(sandbox: SandboxProcess) -> None:
    for code in ("open('t', 'wb').truncate(1 << 40)", "import os; os.posix_fallocate(os.open('f', 66), 0, 1 << 40)"):
        asked = await ask(sandbox, code)
        assert "OSError" in asked.text and not asked.ended.ok
    await sandbox.shell("truncate -s 1T u; cp /dev/zero v", 30, lambda *_: None)
    asked = await ask(sandbox, "import os; sum(os.stat(f).st_blocks for f in os.listdir('.')) * 512 < 30 << 20")
    assert asked.text == "True\n"
