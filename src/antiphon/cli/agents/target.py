"""What an agent is told of the server, and how an agent is started."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Any, NamedTuple

CONTEXT = 32_768  # tokens, where the server does not say
LONGEST_ANSWER = 32_000
WIDE = 65_536
"""Window from which an agent may declare all its tools from the start: it costs thousands of tokens, and keeps the prompt's
beginning the same."""


KEY_VARIABLE = "ANTIPHON_API_KEY"
NAMED_KEY = "$ANTIPHON_API_KEY"
"""Stands for a key that is in the environment, where a client's settings are printed."""
_SHELL_KEY = '"Authorization: Bearer $ANTIPHON_API_KEY"'
_PYTHON_KEY = 'os.environ["ANTIPHON_API_KEY"]'


class AgentTarget(NamedTuple):
    """The server that a client is to use. `url` ends with /v1; `context` is the model's window in tokens.

    `thinks`, `sees`: the model reasons, and takes images. `card`: the model in Codex's catalogue, as the server tells it.
    """

    url: str
    key: str
    model: str
    context: int = CONTEXT
    thinks: bool = True
    sees: bool = False
    card: Mapping[str, Any] = {}

    @property
    def output(self) -> int:
        """The tokens that an answer may have: a quarter of the window."""
        return min(LONGEST_ANSWER, self.context // 4)

    def fill(self, template: str) -> str:
        """Put the server's address, key and model into a text."""
        named = self.key == NAMED_KEY
        values = {
            "url": self.url,
            "shell_key": _SHELL_KEY if named else quote(f"Authorization: Bearer {self.key}"),
            "python_key": _PYTHON_KEY if named else json.dumps(self.key),
            "import_os": "import os\n" if named else "",
            "javascript_key": f"process.env.{KEY_VARIABLE}" if named else json.dumps(self.key),
            "thinks": str(self.thinks).lower(),
            "sees": str(self.sees).lower(),
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
    `tools`: it works with files and commands, which takes more than a demo model.
    """

    command: Sequence[str]
    files: Mapping[str, str]
    variables: Mapping[str, str]
    install: str
    kept: bool = False
    without: tuple[str, ...] = ()
    window: int = 0
    bare: str = ""
    tools: bool = False
