"""What an agent is told of the server, and how an agent is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

CONTEXT = 32_768  # tokens, where the server does not say
LONGEST_ANSWER = 32_000
WIDE = 65_536
"""Window from which an agent may declare all its tools from the start: it costs thousands of tokens, and keeps the prompt's
beginning the same."""


class AgentTarget(NamedTuple):
    """The server that a client is to use. `url` ends with /v1; `context` is the model's window in tokens."""

    url: str
    key: str
    model: str
    context: int = CONTEXT

    @property
    def output(self) -> int:
        """The tokens that an answer may have: a quarter of the window."""
        return min(LONGEST_ANSWER, self.context // 4)

    def fill(self, template: str) -> str:
        """Put the server's address, key and model into a text."""
        values = {
            "url": self.url,
            "base": self.url.removesuffix("/v1"),
            "key": self.key,
            "model": self.model,
            "context": str(self.context),
            "output": str(self.output),
            "search": "false" if self.context >= WIDE else "true",
        }
        for name, value in values.items():
            template = template.replace(f"{{{name}}}", value)
        return template


class Launch(NamedTuple):
    """How to start an agent: files for a temporary folder, variables (`{folder}` stands for it), and arguments in front.

    `kept`: the folder is not temporary, and what is in it is the agent's own from then on. `without`: beginnings of names of
    variables that it must not see. `window`: tokens that its own prompt needs at least, unless it is called with `bare`.
    """

    command: Sequence[str]
    files: Mapping[str, str]
    variables: Mapping[str, str]
    install: str
    kept: bool = False
    without: tuple[str, ...] = ()
    window: int = 0
    bare: str = ""
