"""Token count of a request's input: by the backend, else by a local `tokenizer.json`, else an estimate, marked as such."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from antiphon.backends.base import Route
from antiphon.core.token_count import Estimator, texts_of
from antiphon.core.turn import Turn
from antiphon.errors import ConfigError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PER_TEXT = 4  # tokens around each message, call or tool: about what chat templates add


class Count(msgspec.Struct, frozen=True):
    """A number of tokens; `estimated`: without the model's tokenizer."""

    tokens: int
    estimated: bool = False


class TokenCounter:
    """Counts input tokens. `files` maps model ids to `tokenizer.json` files. Raises ConfigError for one that is not there."""

    def __init__(self, estimator: Estimator, files: Mapping[str, str]) -> None:
        self._estimator = estimator
        self.replace(files)

    def replace(self, files: Mapping[str, str]) -> None:
        """Replace the files. Raises ConfigError, and then nothing has changed."""
        paths = {model: Path(file).expanduser() for model, file in files.items() if file}
        for model, path in paths.items():
            if not path.is_file():
                raise ConfigError(f"models.{model}.tokenizer: file not found: {path}.")
        self._files = paths
        self._loaded: dict[str, Tokenizer] = {}

    async def count(self, route: Route, turn: Turn) -> Count:
        """Count a Turn's input. Raises BackendError."""
        tokens = await route.count_tokens(turn)
        if tokens is not None:
            return Count(tokens)
        if route.card.id in self._files:
            return Count(await asyncio.to_thread(self._count_here, route.card.id, turn))
        return Count(self._estimator.estimate(turn), estimated=True)

    def _count_here(self, model: str, turn: Turn) -> int:
        tokenizer = self._loaded.get(model) or self._load(model)
        texts = texts_of(turn)
        return sum(len(encoding.ids) + PER_TEXT for encoding in tokenizer.encode_batch(texts, add_special_tokens=False))

    def _load(self, model: str) -> Tokenizer:
        """Load a tokenizer at its first use; the library is an extra. Raises ConfigError."""
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise ConfigError("models.*.tokenizer needs an extra: pip install 'antiphon[tokenizers]'.") from None
        self._loaded[model] = Tokenizer.from_file(str(self._files[model]))
        return self._loaded[model]
