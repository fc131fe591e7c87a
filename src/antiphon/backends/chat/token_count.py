"""Counting the tokens of a chat completions request with the tokenizer of the server that would answer it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from antiphon.backends.openai_calls import accepted
from antiphon.errors import BackendError
from antiphon.net.http.client import HttpClient


class _Prompt(msgspec.Struct, omit_defaults=True):
    """The part of a request that the template turns into a prompt."""

    model: str
    messages: Raw
    tools: Raw | UnsetType = UNSET
    chat_template_kwargs: Raw | UnsetType = UNSET


class _Rendered(msgspec.Struct):
    prompt: str


class _Content(msgspec.Struct):
    content: str
    add_special: bool = True
    parse_special: bool = True


class _Tokens(msgspec.Struct):
    tokens: list[Raw] = []
    count: Annotated[int, Meta(ge=0, le=2**40)] | None = None


def offered(kind: str) -> bool:
    """Tell whether servers of this kind count tokens of messages."""
    return kind in ("vllm", "llama_cpp")


async def count(client: HttpClient, kind: str, body: bytes) -> int:
    """Count the input tokens of a request. Raises BackendError."""
    try:
        request = msgspec.json.encode(msgspec.json.decode(body, type=_Prompt))
        root = client.address.path.removesuffix("/v1")
        if kind == "llama_cpp":
            rendered = msgspec.json.decode(await _post(client, f"{root}/apply-template", request), type=_Rendered)
            request = msgspec.json.encode(_Content(rendered.prompt))
        tokens = msgspec.json.decode(await _post(client, f"{root}/tokenize", request), type=_Tokens)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise BackendError(502, "The backend's token count is not valid.") from None
    return len(tokens.tokens) if tokens.count is None else tokens.count


async def _post(client: HttpClient, path: str, body: bytes) -> bytes:
    response = await accepted(await client.send("POST", client.address.with_query(path), body))
    try:
        return await response.read_all()
    finally:
        response.abort()
