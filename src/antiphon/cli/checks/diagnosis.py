"""Diagnosis of a model by `antiphon doctor`, and the settings that follow from it."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from antiphon.backends.base import Backend, BackendModel
from antiphon.cli.checks.probes import TOOL, Finding, ask, guarded, probe, turn
from antiphon.errors import APIError
from antiphon.types.items import InputImage, InputText, Message, OutputText, Part

REFUSED = (400, 409, 413, 502)
"""What a backend's refusal of a request becomes (`backends/refusals.py`); 502 where a chat template raises an error."""

Think = Literal["", "auto", "opened"]


class Diagnosis(msgspec.Struct):
    """What is known of a model."""

    model: BackendModel
    findings: list[Finding] = []
    think: Think = ""
    merge: bool = False

    @property
    def usable(self) -> bool:
        """Tell whether it answers at all."""
        return all(finding.ok for finding in self.findings if finding.needed)

    def can(self, name: str) -> bool:
        """Tell whether a probe went well."""
        return any(finding.ok for finding in self.findings if finding.name == name)


async def diagnose(backend: Backend, model: BackendModel) -> Diagnosis:
    """Try everything on a model; the backend leaves inline thoughts where they are. Raises nothing: errors are findings."""
    found = Diagnosis(model, await probe(backend, model.id))
    if not found.usable:
        return found
    found.findings += await guarded("parallel calls", lambda: _parallel(backend, model.id))
    found.findings += await guarded("images", lambda: _images(backend, model.id))
    found.findings += await guarded("inline thought", lambda: _think(backend, found))
    found.findings += await guarded("system inside", lambda: _system(backend, found))
    window = model.context_length
    note = f"{window:,} tokens" if window else "the backend does not say: set context_length yourself"
    found.findings.append(Finding("context length", True if window else None, note))
    return found


async def _parallel(backend: Backend, model: str) -> list[Finding]:
    wish = turn(model, "What is the weather in Paris, and in Rome? Call the tool once for each.", 512, tools=[TOOL])
    calls = (await ask(backend, wish)).calls
    return [Finding("parallel calls", calls > 1 or None, "" if calls > 1 else f"{calls} at once; clients do without")]


async def _images(backend: Backend, model: str) -> list[Finding]:
    url = f"data:image/png;base64,{base64.b64encode(red_square(64)).decode()}"
    parts: list[Part] = [InputText(text="Which colour is this? One word."), InputImage(image_url=url)]
    wish = msgspec.structs.replace(turn(model, "", 256), items=[Message(role="user", content=parts)])
    said = await ask(backend, wish)
    return [Finding("images", True, "" if "red" in said.text.lower() else "taken, but it did not see that it was red")]


async def _think(backend: Backend, found: Diagnosis) -> list[Finding]:
    text = (await ask(backend, turn(found.model.id, "How much is 17 + 25?", 1024))).text
    opened, closed = re.match(r"\s*<think>", text) is not None, "</think>" in text
    if not opened and not closed:
        return [Finding("inline thought", None, "none seen")]
    found.think = "auto" if opened else "opened"
    return [Finding("inline thought", True, f'split off with think = "{found.think}"')]


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
        return [Finding("system inside", False, f'refused ({error.message}): roles = "merge-first"')]
    return [Finding("system inside", True)]


def red_square(side: int) -> bytes:
    """Return a PNG."""
    rows = (b"\0" + b"\xff\0\0" * side) * side
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def settings(found: Diagnosis, backend: str) -> Iterator[tuple[str, object]]:
    """Return the settings of `models.ID` that describe a model."""
    yield "backends", [backend]
    if found.model.context_length:
        yield "context_length", found.model.context_length
    yield "functions", found.can("tool call")
    yield "images", found.can("images")
    yield "structured_outputs", found.can("json_schema")
    yield "reasoning", found.can("reasoning") or bool(found.think)
    if found.merge:
        yield "roles", "merge-first"
    if found.think:
        yield "think", found.think


def toml(tables: Sequence[tuple[str, Sequence[tuple[str, object]]]]) -> str:
    """Write tables of strings, numbers, switches and lists of strings; JSON spells these as TOML does."""
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {msgspec.json.encode(value).decode()}\n" for key, value in pairs)
        for name, pairs in tables
    )
