"""A backend of your own: it answers with the words it was sent, in capitals.

A package adds it to the server with an entry point, and the configuration names it:

    # pyproject.toml of the package
    [project.entry-points."antiphon.backends"]
    shout = "examples.custom_backend:ShoutBackend"

    # antiphon.toml
    [backends.loud]
    api = "shout"
    url = "shout:"
    options = {mark = "!"}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from antiphon import (
    BackendConfig,
    BackendModel,
    ByteStream,
    Capabilities,
    Delta,
    Finish,
    FinishReason,
    InputText,
    InvalidRequest,
    Message,
    ModelConfig,
    Take,
    TextDelta,
    Turn,
)


class ShoutStream:
    """One answer. A real one gives Deltas as they come from somewhere."""

    def __init__(self, words: Sequence[str], mark: str) -> None:
        self._deltas: list[Delta] = [TextDelta(word.upper() + " ") for word in words]
        self._deltas += [TextDelta(mark), Finish(FinishReason.STOP)]

    async def pour(self, take: Take) -> bool:
        """Give the Deltas, until `take` wants no more; return True at the end."""
        while self._deltas:
            if not take([self._deltas.pop(0)]):
                return not self._deltas
        return True

    def abort(self) -> None:
        """Let go of the call."""
        self._deltas.clear()


class ShoutBackend:
    """What the entry point names: called with the name, the settings, and the configured models of this backend."""

    def __init__(self, name: str, config: BackendConfig, models: Mapping[str, ModelConfig]) -> None:
        self.name = name
        self._mark = str(config.options.get("mark", "."))

    async def open(self, turn: Turn) -> ShoutStream:
        """Start a model call: `turn` is what the model sees, oldest first."""
        last = turn.items[-1]
        content = last.content if isinstance(last, Message) else ""
        if not isinstance(content, str):
            content = " ".join(part.text for part in content if isinstance(part, InputText))
        return ShoutStream(content.split(), self._mark)

    async def models(self) -> Sequence[BackendModel]:
        """Say what there is, and what it can do."""
        able = Capabilities(chat_completions=False, functions=False, images=False, reasoning=False)
        return [BackendModel(id="shout", capabilities=able)]

    async def count_tokens(self, turn: Turn) -> int | None:
        """Return None: the server estimates."""
        return None

    async def chat_completions(self, body: bytes) -> ByteStream:
        """Refuse: `Capabilities` said so."""
        raise InvalidRequest("This model does not speak chat completions.", param="model", code="unsupported_model")

    async def close(self) -> None:
        """Free what is held."""
