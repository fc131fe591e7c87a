"""A vendor's shapes with Codex's tool in place of the corpus's: the same envelopes and fragments, ids that count on.

Nothing of an envelope is written here: the bytes of the corpus are read, and names, arguments, ids and thoughts in them
are replaced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tests.backends.vendors.corpus import Answer, Json, Shape, Vendor

OF_CORPUS = "get_weather"
OURS = "exec_command"
USUAL = {"text": "Hello, world.", "thoughts": "Four."}
THOUGHT = "Two and two"
LONG = 6  # characters from which on an id is a vendor's own, not a constant such as TGI's "0"
FIELDS = ("reasoning", "reasoning_content")
_ARGUMENTS = re.compile(r'\{\s*"location"\s*:\s*"\w+"\s*\}')
_LAST = re.compile(r"[0-9](?=[^0-9]*\Z)")
_MARKED = re.compile(rf"\b(world|{THOUGHT}|two|SIG|SEAL)\b")


@dataclass
class Step:
    """One answer of a vendor: its bytes, and what a client and the next request must have of it.

    `calls`: id ("" where the vendor has none) and command. `returns`: what stands at a path of the message that goes
    back. `thoughts`: how they begin. `field`: the one they came in; "" where they stood in the text. `usage`: the numbers
    of tokens read and written, where the vendor tells them.
    """

    body: Answer
    text: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    returns: dict[str, Any] = field(default_factory=dict)
    thoughts: str = ""
    field: str = ""
    usage: tuple[int, int] | None = None


def turns(vendor: Vendor) -> list[list[Step]]:
    """Return a vendor's answers of three turns: each calls the tool, gets its results and says something.

    A vendor that has no calls (Perplexity) only says something.
    """
    both = "parallel" if streams(vendor, "parallel") else "call"
    said = "thoughts" if streams(vendor, "thoughts") else "text"
    names = [["call", "text"], [both, said], ["call", said]]
    if not streams(vendor, "call"):
        names = [["text"], [said], ["text"]]
    number = count(1)
    return [[_step(vendor, name, next(number)) for name in turn] for turn in names]


def streams(vendor: Vendor, name: str) -> bool:
    """Tell whether a vendor has a streamed answer of this shape."""
    return name in vendor.shapes and vendor.shapes[name].answer(True) is not None


def commands(step: int) -> list[str]:
    """Return what the calls of a step run. The characters are such that JSON has to escape them."""
    return [f'echo "ran {step}.{n}" \\\\ \'é"\'' for n in range(2)]


def printed(command: str) -> str:
    """Return what such a command prints."""
    return command.removeprefix("echo ").replace('"', "", 2).replace("\\\\", "\\").replace("'", "") + "\n"


def _step(vendor: Vendor, name: str, number: int) -> Step:
    shape = vendor.shapes[name]
    answer = shape.answer(True)
    assert answer is not None
    frames = list(_frames(answer.body))
    step = Step(answer, thoughts=shape.expected.get("thoughts", THOUGHT if name == "thoughts" else ""))
    if name in ("text", "thoughts"):
        step.text = _marked(shape.expected.get("text", USUAL[name]), number)
    else:
        step.calls = _replaced(_deltas(frames), number)
        if not step.thoughts:
            frames = _thoughts(vendor, shape, step) + frames
    step.returns |= shape.fields.get("returns", {})
    for path, value in step.returns.items():
        step.returns[path] = _renamed(value, number) if path.endswith(".id") else _marked(value, number)
    step.thoughts = _marked(step.thoughts, number)
    step.field = next((name for delta in _deltas(frames) for name in FIELDS if delta.get(name)), "")
    step.usage = next(filter(None, (_usage(value) for _, value in reversed(frames))), None)
    body = "".join(
        frame if value is None else frame.replace("$", _marked(json.dumps(value, ensure_ascii=False), number), 1)
        for frame, value in frames
    )
    step.body = Answer(answer.status, answer.headers, body.encode())
    return step


def _thoughts(vendor: Vendor, shape: Shape, step: Step) -> list[tuple[str, Any]]:
    """Return the chunks with thoughts that a vendor sends before its calls: those of its other answer."""
    other = vendor.shapes.get("thoughts")
    answer = other and other.answer(True)
    if not other or not answer or shape.source.startswith("recorded:") or other.source.startswith("recorded:"):
        return []  # a recording is one answer as it was
    frames = list(_frames(answer.body))
    end = next((at for at, (_, value) in enumerate(frames) if USUAL["thoughts"] in json.dumps(value)), None)
    if end is None:
        return []  # what it thinks there is not what this play knows
    step.thoughts = THOUGHT
    step.returns |= other.fields.get("returns", {})
    return frames[:end]


def _frames(body: bytes) -> Iterator[tuple[str, Any]]:
    """Split a stream into lines; the data of an event is read, and `$` stands in its place."""
    for line in body.decode().splitlines(keepends=True):
        head, found, data = line.partition("{")
        if found and head.strip() == "data:":
            yield f"{head}${line[len(line.rstrip()) :]}", json.loads(found + data)
        else:
            yield line, None


def _usage(value: Any) -> tuple[int, int] | None:
    """Return the numbers of tokens that stand anywhere in a chunk."""
    if isinstance(value, list):
        return next(filter(None, map(_usage, value)), None)
    if not isinstance(value, dict):
        return None
    if "prompt_tokens" in value and "completion_tokens" in value:
        return value["prompt_tokens"], value["completion_tokens"]
    return _usage(list(value.values()))


def _deltas(frames: list[tuple[str, Any]]) -> list[Json]:
    choices = [choice for _, chunk in frames if chunk for choice in chunk.get("choices", [])]
    return [choice["delta"] for choice in choices if "delta" in choice]


def _marked(text: str, number: int) -> str:
    """Return a text whose thoughts, signatures and words are those of one step alone."""
    return _MARKED.sub(rf"\g<1>{number}", text)


def _renamed(id: str, number: int) -> str:
    """Return the id of a call in a step: the vendor's form, no other step's, for our tool."""
    id = id.replace(OF_CORPUS, OURS)
    if len(id) < LONG:
        return id
    if found := _LAST.search(id):
        return f"{id[: found.start()]}{(int(found[0]) + 2 * number) % 10}{id[found.end() :]}"
    return f"{id[:-1]}{number}"


def _replaced(deltas: list[Json], number: int) -> list[tuple[str, str]]:
    """Put our tool and commands into the chunks in place; return the calls."""
    wanted = commands(number)
    ids: list[str] = []
    fragments: dict[int, list[Json]] = {}
    for call in (call for delta in deltas for call in delta.get("tool_calls") or ()):
        if call.get("id"):
            call["id"] = _renamed(call["id"], number)
            if call["id"] not in ids:
                ids.append(call["id"])
        function = call["function"]
        if function.get("name"):
            function["name"] = function["name"].replace(OF_CORPUS, OURS)
        fragments.setdefault(len(ids) - 1, []).append(function)
    if not fragments:
        return _replaced_text(deltas, wanted)
    for place, parts in fragments.items():
        _recut(parts, "arguments", json.dumps({"cmd": wanted[place]}, ensure_ascii=False))
    return list(zip(ids, wanted, strict=False))


def _replaced_text(deltas: list[Json], wanted: list[str]) -> list[tuple[str, str]]:
    """Do the same to calls that a vendor leaves in the text."""
    text = "".join(delta.get("content") or "" for delta in deltas).replace(OF_CORPUS, OURS)
    values = iter(wanted)
    text, count = _ARGUMENTS.subn(lambda _: json.dumps({"cmd": next(values)}, ensure_ascii=False), text)
    _recut(deltas, "content", text)
    return [("", command) for command in wanted[:count]]


def _recut(parts: list[Json], name: str, text: str) -> None:
    """Spread a text over the parts that hold any now."""
    filled = [part for part in parts if part.get(name)]
    for at, part in enumerate(filled):
        part[name] = text[len(text) * at // len(filled) : len(text) * (at + 1) // len(filled)]
