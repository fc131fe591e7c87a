"""Which sandbox is used: the first that passes its probes; never a weaker one in silence. The spare."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Mapping, Sequence

import pytest

from antiphon.tools.sandbox.base import NOTHING_KNOWN, Command, Interior, SandboxError, SandboxLimits
from antiphon.tools.sandbox.bubblewrap import Bubblewrap
from antiphon.tools.sandbox.pool import Sandboxes
from antiphon.tools.sandbox.probes import QUICK

from .conftest import LIMITS, ask

OWN_FOLDER = tempfile.mkdtemp(prefix="antiphon-open-")

NOBODY = 65534
AS_NOBODY = () if os.getuid() else ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
"""Before a command that nothing encloses: what the probes try must not succeed as root."""


class Open:
    """No sandbox at all: the probes find it open."""

    name = "open"
    known: Mapping[str, str] = NOTHING_KNOWN

    def unusable(self) -> str | None:
        return None

    def command(self, interior: Interior, limits: SandboxLimits, program: Sequence[str], socket: int) -> Command:
        if not os.getuid():
            os.chown(OWN_FOLDER, NOBODY, NOBODY)
        return Command(
            arguments=[*AS_NOBODY, interior.python, *program], environment={}, own_processes=False, folder=OWN_FOLDER
        )


class Missing(Open):
    name = "missing"

    def unusable(self) -> str | None:
        return "it is not installed"


class Broken(Open):
    name = "broken"

    def command(self, interior: Interior, limits: SandboxLimits, program: Sequence[str], socket: int) -> Command:
        return Command(
            arguments=["sh", "-c", "echo no name spaces here >&2; exit 1"], environment={}, own_processes=True
        )


@pytest.mark.slow  # a process
async def test_what_lets_something_through_is_not_used() -> None:
    sandboxes = Sandboxes([Missing(), Broken(), Open()], LIMITS, python="" if os.getuid() else "/usr/bin/python3")
    with pytest.raises(SandboxError) as error:
        await sandboxes.find()
    said = str(error.value)
    assert said.startswith("missing: it is not installed; broken: no name spaces here")
    assert "open: it lets through: " in said and "files of the machine" in said
    assert sandboxes.condition == f"off: {said}" and sandboxes.off == said
    with pytest.raises(SandboxError):
        await sandboxes.start()


async def test_what_is_switched_off_is_not_tried() -> None:
    sandboxes = Sandboxes([Broken()], LIMITS, off='sandbox = "off"')
    sandboxes.begin()
    assert sandboxes.condition == 'off: sandbox = "off"'
    with pytest.raises(SandboxError, match="off"):
        await sandboxes.find()


async def test_a_python_that_is_not_there_is_told() -> None:
    sandboxes = Sandboxes([Broken()], LIMITS, python="/nowhere/python")
    with pytest.raises(SandboxError, match="there is no Python '/nowhere/python'"):
        await sandboxes.find()


@pytest.mark.needs("bwrap")
async def test_the_first_that_holds_is_used_and_a_spare_waits() -> None:
    sandboxes = Sandboxes([Missing(), Bubblewrap()], LIMITS)
    assert sandboxes.condition == "being tried"
    sandboxes.begin()
    first = await sandboxes.start()
    assert sandboxes.condition == f"bwrap, Python {first.version}"
    sandboxes.warm()
    spare = sandboxes._spare
    assert spare is not None
    await spare
    sandboxes.warm()
    assert sandboxes._spare is spare
    second = await sandboxes.start()
    assert second is spare.result() and second is not first
    assert (await ask(second, "1")).text == "1\n"
    sandboxes.warm()
    third = sandboxes._spare
    assert third is not None
    await third
    await asyncio.gather(first.close(), second.close(), sandboxes.close())
    assert not third.result().alive


def test_probes_have_names_of_their_own() -> None:
    names = [probe.name for probe in QUICK]
    assert len(set(names)) == len(names)
