"""Sandboxes by docker, podman and sandbox-exec: their command lines; an engine that encloses nothing is not used."""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from antiphon.composition.from_settings import make_sandboxes
from antiphon.config import CodeInterpreterConfig
from antiphon.tools.sandbox import seccomp
from antiphon.tools.sandbox.base import Interior, SandboxError, SandboxLimits
from antiphon.tools.sandbox.engine import ContainerEngine
from antiphon.tools.sandbox.pool import Sandboxes
from antiphon.tools.sandbox.seatbelt import Seatbelt, profile
from antiphon.tools.sandbox.starting import start
from tests.tools.sandbox.conftest import LIMITS, ask

INSIDE = Interior(python="/usr/bin/python3")


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the engine's program, and what it was asked."""
    program = tmp_path / "docker"
    source = Path(__file__).with_name("engine_cli.py").read_text()
    program.write_text(f"#!{sys.executable}\n{source}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def engine(notes: Path, **more: str) -> ContainerEngine:
    return ContainerEngine("docker", "an-image:1", path=str(notes / "docker"), **more)


def asked(notes: Path) -> list[list[str]]:
    return [json.loads(line) for line in (notes / "asked.jsonl").read_text().splitlines()]


def test_what_an_engine_is_asked(notes: Path) -> None:
    command = engine(notes, runtime="runsc").command(
        INSIDE, SandboxLimits(memory=1 << 30, disk=5, processes=40), ["-c"], 3
    )
    words = list(command.arguments)
    pairs = set(pairwise(words))
    assert words[:2] == [str(notes / "docker"), "run"]
    assert {"--rm", "--interactive", "--read-only"} <= set(words)
    assert pairs >= {
        ("--network", "none"), ("--cap-drop", "ALL"), ("--security-opt", "no-new-privileges"), ("--user", "65534:65534"),
        ("--pull", "never"), ("--runtime", "runsc"), ("--pids-limit", "48"), ("--ipc", "private"),
        ("--memory", str((1 << 30) + (64 << 20))), ("--memory-swap", str((1 << 30) + (64 << 20))),
        ("--tmpfs", "/mnt/data:rw,nosuid,nodev,size=5,mode=1777"), ("--entrypoint", "/usr/bin/python3"),
    }  # fmt: skip
    assert words[-2:] == ["an-image:1", "-c"]
    assert command.stdio and command.own_processes and command.keep == ()
    name = words[words.index("--name") + 1]
    assert list(command.end) == [str(notes / "docker"), "rm", "--force", name]
    assert not {"OPENAI_API_KEY", "ANTIPHON_SECRET"} & set(command.environment)
    (filter,) = [word.removeprefix("seccomp=") for word in words if word.startswith("seccomp=")]
    rules = json.loads(Path(filter).read_text())
    assert rules["defaultAction"] == "SCMP_ACT_ALLOW"
    refused = {name for rule in rules["syscalls"] if "args" not in rule for name in rule["names"]}
    machine = seccomp.architecture()
    assert machine is not None and refused == {*machine.refused, "clone3", "timer_create"}
    families = {rule["args"][0]["value"] for rule in rules["syscalls"] if rule["names"][0] == "socket"}
    assert families == set(range(65)) - {1, 2, 10}  # 40 is vsock, 16 netlink, 17 packet


@pytest.mark.parametrize(
    ("refuse", "reason"),
    [("info", "the engine does not answer: Cannot info"), ("image", "the image an-image:1 is not there: docker pull")],
)
def test_an_engine_that_cannot_be_used_says_why(notes: Path, refuse: str, reason: str) -> None:
    assert engine(notes).unusable() is None
    (notes / "refuse").write_text(refuse)
    assert str(engine(notes).unusable()).startswith(reason)


def test_an_engine_that_is_not_there() -> None:
    assert ContainerEngine("no-such-engine", "x").unusable() == "no-such-engine is not installed"


@pytest.mark.needs("bwrap")
async def test_code_runs_over_standard_input_and_output(notes: Path) -> None:
    sandbox = await start(engine(notes), INSIDE, LIMITS)
    assert (await ask(sandbox, "x = 20\nprint('hello')\nx + 1")).text == "hello\n21\n"
    assert (await ask(sandbox, "import sys; sys.stdin.read(), x")).text == "('', 20)\n"
    assert (await ask(sandbox, "import os; os.write(1, b'raw'); 1")).text == "raw1\n"
    await sandbox.write("a.txt", b"x" * 3_000_000)
    assert len(await sandbox.read("a.txt", 4_000_000)) == 3_000_000
    said: list[bytes] = []
    ended = await sandbox.shell("echo out; exit 3", 10, lambda _, piece: said.append(piece))
    assert (b"".join(said), ended.status) == (b"out\n", 3)
    ended = await sandbox.run("while True: pass", 0.5, lambda *_: None)
    assert ended.timed_out
    assert (await ask(sandbox, "'x' in globals()")).text == "False\n"
    await sandbox.close()
    (name,) = [words[words.index("--name") + 1] for words in asked(notes) if words[0] == "run"]
    for _ in range(500):
        if ["rm", "--force", name] in asked(notes):
            break
        await asyncio.sleep(0.02)
    assert ["rm", "--force", name] in asked(notes)


@pytest.mark.needs("bwrap")
async def test_an_engine_that_encloses_nothing_is_not_used(notes: Path) -> None:
    sandboxes = Sandboxes([engine(notes)], LIMITS, python="/usr/bin/python3")
    with pytest.raises(SandboxError, match="docker: it lets through: files of the machine"):
        await sandboxes.find()
    await sandboxes.close()


@pytest.mark.parametrize("name", ["docker", "podman", "seatbelt", "bwrap", "sandlock"])
def test_the_settings_name_one_kind(name: str) -> None:
    sandboxes = make_sandboxes(CodeInterpreterConfig(sandbox=name))  # type: ignore[arg-type]
    assert [kind.name for kind in sandboxes._kinds] == [name]


def test_no_engine_is_used_unasked() -> None:
    assert [kind.name for kind in make_sandboxes(CodeInterpreterConfig())._kinds] == ["bwrap", "seatbelt"]


# macOS


def test_the_profile_of_sandbox_exec() -> None:
    text = profile("/private/tmp/own", Interior(python="/opt/py/bin/python3", folders=("/opt/py",)))
    lines = text.splitlines()
    assert lines[:3] == ["(version 1)", "(deny default)", "(deny network*)"]
    assert '(allow file-read* file-write* (subpath "/private/tmp/own"))' in lines
    assert "(allow signal (target same-sandbox))" in lines
    (readable,) = [line for line in lines if line.startswith("(allow file-read* (subpath")]
    assert '(subpath "/opt/py")' in readable and '"/Users"' not in readable and '"/private/etc"' not in readable
    assert not [line for line in lines if "allow network" in line or "allow mach" in line or "allow default" in line]
    assert text.count("(") == text.count(")")


@pytest.mark.parametrize("folder", ['/tmp/a"b', "/tmp/a\\b", "/tmp/a\nb"])
def test_no_name_ends_a_string_of_the_profile(folder: str) -> None:
    with pytest.raises(SandboxError):
        profile(folder, INSIDE)


def test_the_command_line_of_sandbox_exec(tmp_path: Path) -> None:
    program = tmp_path / "sandbox-exec"
    kind = Seatbelt(str(program), "darwin")
    assert kind.unusable() == f"{program} is not there"
    program.touch()
    assert kind.unusable() is None and Seatbelt(str(program), "linux").unusable() == "sandbox-exec is for macOS"
    command = kind.command(INSIDE, LIMITS, ["-c", "1"], 5)
    assert list(command.arguments[:2]) == [str(program), "-p"] and list(command.arguments[3:]) == [
        INSIDE.python,
        "-c",
        "1",
    ]
    assert command.folder in command.arguments[2] and command.environment["HOME"] == command.folder
    assert not command.own_processes and Path(command.folder).is_dir()
    subprocess.run(command.end, check=True)
    assert not Path(command.folder).exists()
