"""Diagnosis of a model by `antiphon doctor`, and the settings that follow from it."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Literal, NamedTuple

import msgspec

from antiphon.backends.base import Backend, BackendModel
from antiphon.backends.learning.adaptations import NOTHING, Adaptable, Adaptation
from antiphon.cli.checks.clients import served
from antiphon.cli.checks.probes import (
    REFUSED,
    TOOL,
    Ability,
    Finding,
    ask,
    begun,
    forced_call,
    guarded,
    json_schema,
    one_line,
    prompt_cache,
    sampled,
    tool_call,
    turn,
)
from antiphon.errors import APIError
from antiphon.types.items import InputImage, InputText, Message, OutputText, Part

Think = Literal["", "auto", "opened"]
COLOURS = {"red": b"\xff\0\0", "green": b"\0\xc0\0", "blue": b"\0\0\xff"}
OF_MODEL = ("drop", "efforts", "thinking", "stream", "strict_schema", "roles", "call_ids", "context_length")
"""Settings that a model has itself, of those that refusals teach."""

OF_PROFILE = ("max_tokens", "response_format", "forced_calls", "needs_reasoning")
"""Those of a profile."""


class Diagnosis(msgspec.Struct):
    """What is known of a model. `learned` is what its refusals have taught meanwhile."""

    model: BackendModel
    findings: list[Finding] = []
    abilities: dict[str, Ability] = {}
    think: Think = ""
    merge: bool = False
    learned: Adaptation = NOTHING

    @property
    def usable(self) -> bool:
        """Tell whether it answers at all."""
        return all(finding.ok for finding in self.findings if finding.needed)

    def can(self, name: str) -> bool:
        """Tell whether a probe went well."""
        return any(finding.ok for finding in self.findings if finding.name == name)


async def diagnose(backend: Backend, model: BackendModel) -> Diagnosis:
    """Try everything on a model; the backend leaves inline thoughts where they are. Raises nothing: errors are findings."""
    found = Diagnosis(model, await begun(backend, model.id))
    if not found.usable:
        return found
    trials = {"tool call": tool_call, "forced call": forced_call, "json_schema": json_schema, "images": _image}
    for name, trial in trials.items():
        found.abilities[name] = await sampled(name, partial(trial, backend, model.id))
        found.findings.append(found.abilities[name].finding)
    found.findings += await guarded("parallel calls", lambda: _parallel(backend, model.id))
    found.findings += await guarded("inline thought", lambda: _think(backend, found))
    found.findings += await guarded("system inside", lambda: _system(backend, found))
    found.findings += await guarded("prompt cache", lambda: prompt_cache(backend, model.id))
    window = model.context_length
    if isinstance(backend, Adaptable):
        found.learned = backend.learned.get(model.id, NOTHING)
        window = window or found.learned.context_length
    note = f"{window:,} tokens" if window else "the backend does not say: set context_length yourself"
    found.findings.append(Finding("context length", True if window else None, note))
    found.findings.append(served(found.can("tool call"), window))
    if found.learned != NOTHING:
        found.findings.append(Finding("learned", None, f"the model refuses some requests; it takes {found.learned}"))
    return found


async def _parallel(backend: Backend, model: str) -> list[Finding]:
    wish = turn(model, "What is the weather in Paris, and in Rome? Call the tool once for each.", 512, tools=[TOOL])
    calls = (await ask(backend, wish)).calls
    return [Finding("parallel calls", calls > 1 or None, "" if calls > 1 else f"{calls} at once; clients do without")]


async def _image(backend: Backend, model: str, number: int) -> str:
    """Show a picture of one colour, another one each time: servers that drop pictures without a word can only guess."""
    colour = [*COLOURS][number]
    url = f"data:image/png;base64,{base64.b64encode(square(64, COLOURS[colour])).decode()}"
    parts: list[Part] = [InputText(text="Which colour is this? One word."), InputImage(image_url=url)]
    wish = msgspec.structs.replace(turn(model, "", 256), items=[Message(role="user", content=parts)])
    said = (await ask(backend, wish)).text.lower()
    return "" if colour in said else f"taken, but it did not see that it was {colour}"


async def _think(backend: Backend, found: Diagnosis) -> list[Finding]:
    """Look for thoughts in the text, also where thinking is switched on: some servers do that in the prompt."""
    for effort in (None, "low"):
        wish = turn(found.model.id, "How much is 17 + 25?", 1024, reasoning_effort=effort)
        text = (await ask(backend, wish)).text
        opened, closed = re.match(r"\s*<think>", text) is not None, "</think>" in text
        if opened or closed:
            found.think = "auto" if opened else "opened"
            when = " where an effort is asked for" if effort else ""
            return [Finding("inline thought", True, f'seen{when}; split off with think = "{found.think}"')]
    return [Finding("inline thought", None, "none seen")]


async def _system(backend: Backend, found: Diagnosis) -> list[Finding]:
    """See whether a system message may stand behind others: chat templates often refuse that."""
    items = [
        Message(role="user", content="Hi."),
        Message(role="assistant", content=[OutputText(text="Hello.")]),
        Message(role="developer", content="Be brief."),
        Message(role="user", content="How are you?"),
    ]
    wish = turn(found.model.id, "", 16)
    try:
        await ask(backend, msgspec.structs.replace(wish, items=items, instructions="Be kind."))
    except APIError as error:
        if error.status not in REFUSED:
            raise
        found.merge = True
        return [Finding("system inside", False, f'refused ({one_line(error.message)}): roles = "merge-first"')]
    return [Finding("system inside", True)]


def square(side: int, colour: bytes) -> bytes:
    """Return a PNG."""
    rows = (b"\0" + colour * side) * side
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


class SettingLine(NamedTuple):
    """A setting to write; one that is not sure becomes a comment with the reason."""

    name: str
    value: object
    unsure: str = ""


def settings(found: Diagnosis, backend: str) -> Iterator[SettingLine]:
    """Yield the settings of `models.ID` that describe a model."""
    yield SettingLine("backends", [backend])
    window = found.model.context_length or found.learned.context_length
    if window:
        yield SettingLine("context_length", window)
    for setting, name in (("functions", "tool call"), ("images", "images"), ("structured_outputs", "json_schema")):
        ability = found.abilities[name]
        yield SettingLine(setting, ability.value, "" if ability.sure else ability.finding.note or "the samples differ")
    thinks = found.can("reasoning") or bool(found.think)
    yield SettingLine("reasoning", thinks, "" if thinks else "no thoughts were seen")
    if found.merge and not found.learned.roles:
        yield SettingLine("roles", "merge-first")
    if found.think:
        yield SettingLine("think", found.think)
    for name, value in found.learned.settings().items():
        if name in OF_MODEL and name != "context_length":
            yield SettingLine(name, value)


def profile_settings(found: Sequence[Diagnosis], base: str) -> list[SettingLine]:
    """Return the settings of a profile that the models of a server need; none where the built-in one will do."""
    learned = NOTHING
    for one in found:
        learned = learned.plus(one.learned)
    lines = [SettingLine(name, value) for name, value in learned.settings().items() if name in OF_PROFILE]
    return [SettingLine("base", base), *lines] if lines else []


def toml(tables: Sequence[tuple[str, Sequence[SettingLine]]]) -> str:
    """Write tables of strings, numbers, switches and lists of strings; JSON spells these as TOML does."""
    return "\n".join(f"[{name}]\n" + "".join(map(_written, lines)) for name, lines in tables)


def _written(line: SettingLine) -> str:
    text = f"{line.name} = {msgspec.json.encode(line.value).decode()}"
    return f"# {text}  # not sure: {line.unsure}\n" if line.unsure else f"{text}\n"
