"""What a server of the Messages API lists at /v1/models, page by page."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Raw

from antiphon.backends.anthropic.thinking import Mode
from antiphon.backends.base import BackendModel, Capabilities
from antiphon.backends.model_list import MOST_MODELS, MOST_NUMBER, is_name, parse_models
from antiphon.backends.openai_calls import LIST_LIMIT, accepted
from antiphon.net.http.client import HttpClient

log = logging.getLogger("antiphon.backends.anthropic")

PAGE = 1000
MOST_PAGES = MOST_MODELS // PAGE
_NO_LIST = (404, 405, 501)


class MessagesModel(msgspec.Struct, frozen=True):
    """A model as the server lists it. `mode`: how it thinks, None where that is not told; `max_tokens`: its longest answer."""

    model: BackendModel
    mode: Mode | None = None
    max_tokens: int = 0


class _ListedEntry(msgspec.Struct):
    id: str
    created_at: str | None = None
    max_input_tokens: int | None = None
    max_tokens: int | None = None
    capabilities: dict[str, Any] | None = None


class _ListPage(msgspec.Struct):
    data: list[Raw] | None = None
    has_more: bool | None = False
    last_id: str | None = None


_page = msgspec.json.Decoder(_ListPage, strict=False)
_entry = msgspec.json.Decoder(_ListedEntry, strict=False)


async def list_messages_models(client: HttpClient, headers: bytes) -> list[MessagesModel]:
    """Ask for all models; none where the server has no list. Raises BackendError."""
    found: dict[str, MessagesModel] = {}
    after = ""
    for _ in range(MOST_PAGES):
        path = client.address.target("/models")
        query = f"limit={PAGE}" + (f"&after_id={quote(after, safe='')}" if after else "")
        response = await client.send("GET", f"{path}{'&' if '?' in path else '?'}{query}", headers=headers)
        if response.status in _NO_LIST:
            response.abort()
            break
        response = await accepted(response)
        try:
            body = await response.read_all(LIST_LIMIT)
        finally:
            response.abort()
        page, models = parse_page(body)
        known = len(found)
        found |= {one.model.id: one for one in models}
        if not page.has_more or not page.last_id or page.last_id == after or len(found) == known:
            break
        after = page.last_id
    return list(found.values())


def parse_page(body: bytes) -> tuple[_ListPage, list[MessagesModel]]:
    """Read a page, leniently: servers that are compatible list as OpenAI does. Raises BackendError for no list."""
    try:
        page = _page.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        page = _ListPage()
    plain = {model.id: model for model in parse_models(body)}
    told = {entry.id: entry for raw in page.data or () if (entry := _read(raw)) is not None and is_name(entry.id)}
    return page, [_listed(model, told.get(id)) for id, model in plain.items()]


def _read(raw: Raw) -> _ListedEntry | None:
    try:
        return _entry.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _listed(model: BackendModel, entry: _ListedEntry | None) -> MessagesModel:
    abilities = (entry.capabilities if entry is not None else None) or {}
    capabilities = Capabilities(
        images=_supports(abilities, "image_input"),
        structured_outputs=_supports(abilities, "structured_outputs"),
        reasoning=_supports(abilities, "thinking"),
    )
    most = (entry.max_tokens if entry is not None else None) or 0
    return MessagesModel(
        msgspec.structs.replace(
            model,
            created=model.created or _unix(entry.created_at if entry is not None else None),
            capabilities=capabilities,
        ),
        _mode(abilities.get("thinking")),
        most if 0 < most <= MOST_NUMBER else 0,
    )


def _supports(abilities: dict[str, Any], name: str) -> bool:
    """Tell whether a model has an ability; where nothing is said, it gets the benefit of the doubt."""
    told = abilities.get(name)
    return not isinstance(told, dict) or told.get("supported") is not False


def _mode(thinking: Any) -> Mode | None:
    if not isinstance(thinking, dict) or not isinstance(thinking.get("supported"), bool):
        return None
    if not thinking["supported"]:
        return "off"
    types = thinking.get("types")
    taken = {name for name, one in types.items() if _is_supported(one)} if isinstance(types, dict) else set()
    return "adaptive" if "adaptive" in taken else "budget" if "enabled" in taken else None


def _is_supported(value: Any) -> bool:
    return isinstance(value, dict) and value.get("supported") is True


def _unix(text: str | None) -> int:
    try:
        seconds = datetime.fromisoformat(text or "").timestamp()
    except (ValueError, OverflowError, OSError):
        return 0
    return int(seconds) if 0 <= seconds <= MOST_NUMBER else 0
