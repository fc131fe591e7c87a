"""A chat completions request as a model sees it, and what a model answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """One message, its parts sorted out."""

    role: str
    text: str
    images: int = 0
    files: int = 0
    thoughts: str = ""
    calls: Sequence[Json] = ()


@dataclass(frozen=True)
class Offered:
    """One tool that may be called."""

    name: str
    kind: str
    schema: Json


@dataclass(frozen=True)
class Ask:
    """One request."""

    body: Json
    said: Sequence[Said]
    tools: Sequence[Offered]

    @property
    def format(self) -> Json:
        """The `response_format`, `{}` where there is none."""
        return self.body.get("response_format") or {}

    @property
    def schema(self) -> Json | None:
        """The JSON Schema that the answer has to follow."""
        return (self.format.get("json_schema") or {}).get("schema")

    def tool(self, name: str) -> Offered | None:
        """Find a tool by its name, or by the end of it where a server has put a prefix before it."""
        exact = [tool for tool in self.tools if tool.name == name]
        ending = [tool for tool in self.tools if tool.name.endswith(("_" + name, "-" + name))]
        return next(iter(exact + ending), None)


@dataclass(frozen=True)
class Call:
    """A tool call; `text` is the arguments' JSON, or the raw input of a custom tool."""

    tool: Offered
    text: str


@dataclass
class Reply:
    """What a model answers, and how it is sent: characters per piece, seconds between pieces, pieces until the line is cut."""

    think: str = ""
    say: str = ""
    refuse: str = ""
    calls: list[Call] = field(default_factory=list)
    finish: str = ""
    usage: Sequence[int] = ()
    piece: int = 7
    pace: float = 0.0
    cut: int | None = None
    error: Json | None = None

    @property
    def finish_reason(self) -> str:
        """Why it ends."""
        return self.finish or ("tool_calls" if self.calls else "stop")

    @property
    def text(self) -> str:
        """All that counts as output tokens."""
        return self.think + self.say + self.refuse + "".join(call.text for call in self.calls)


def read(body: Json) -> Ask:
    """Sort a request out."""
    return Ask(
        body, [_said(message) for message in body["messages"]], [_offered(tool) for tool in body.get("tools") or ()]
    )


def _said(message: Json) -> Said:
    content = message.get("content") or ""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return Said(
        message["role"],
        "\n".join(
            part.get("text") or part.get("refusal") or "" for part in parts if part["type"] in ("text", "refusal")
        ),
        images=sum(part["type"] == "image_url" for part in parts),
        files=sum(part["type"] == "file" for part in parts),
        thoughts=message.get("reasoning_content") or message.get("reasoning") or "",
        calls=message.get("tool_calls") or (),
    )


def _offered(tool: Json) -> Offered:
    inner = tool[tool["type"]]
    return Offered(inner["name"], tool["type"], inner.get("parameters") or {})


def tokens(text: str) -> int:
    """Estimate the tokens of a text."""
    return (len(text) + 3) // 4
