"""The table of relayed routes: what each takes, which forms go to backends, what an answer is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from antiphon.access.caller import AUDIO, CHAT, EMBEDDINGS, IMAGES
from antiphon.core.model_types import (
    EMBEDDING,
    IMAGE_GENERATION,
    RERANK,
    SPEECH,
    TEXT_GENERATION,
    TRANSCRIPTION,
)
from antiphon.core.relayed_request import RelayedForm
from antiphon.server.api.relays.asked import AskedRelay, JsonShape
from antiphon.server.api.relays.edits import ImageEdits
from antiphon.server.api.relays.embeddings import MOST_NUMBERS, Embeddings
from antiphon.server.api.relays.passing import EVENTS, JSON, ReadAnswer, check_answer, is_text
from antiphon.server.api.relays.rerank import Rerank

MOST_JSON = 16 * 1024 * 1024
"""Bytes of an answer that is read whole and checked."""

MOST_LARGE = 64 * 1024 * 1024
"""The same of one with vectors, or with pictures in base64."""


class RouteShape(Protocol):
    """What a route takes and answers. `answer` gets a whole answer and the model's id as the client named it."""

    def check(self, asked: AskedRelay) -> None:
        """Refuse what no backend would take. Raises InvalidRequest."""
        ...

    def forms(self, asked: AskedRelay) -> Sequence[RelayedForm]:
        """Return the forms in which the request goes to backends."""
        ...

    def answer(self, asked: AskedRelay, model: str, read: ReadAnswer, *, shorten: bool = False) -> bytes:
        """Return the answer for the client. Raises BackendError 502 for a body that is none."""
        ...


class PlainShape(msgspec.Struct, frozen=True):
    """A route that is passed on as it is: the field that must be there, and the one that its answer must have.

    `other`: what the field may be in JSON beside a text.
    """

    endpoint: str
    required: str
    answered: str = ""
    other: JsonShape | None = None

    def check(self, asked: AskedRelay) -> None:
        """Refuse a request without this field, or with one that is no text. Raises InvalidRequest."""
        asked.require_text(self.required, self.other)

    def forms(self, asked: AskedRelay) -> Sequence[RelayedForm]:
        """Return the request as it is."""
        return (asked.form(self.endpoint) if asked.parts else asked.json(self.endpoint),)

    def answer(self, asked: AskedRelay, model: str, read: ReadAnswer, *, shorten: bool = False) -> bytes:
        """Return the answer as it is. Raises BackendError 502 for a body of another kind."""
        if self.answered:
            check_answer(read.skeleton, self.answered)
        return read.body


class RelayedRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One route. `summary` stands in the API's document, `operation` in traces; `scope` is what a key needs that has not `chat`.

    `type` is the type of its models: the one of `default_models`, or the only one, answers requests that name none, where the
    API allows that (`unnamed`). `takes`: JSON, a form, or both. `gives`: JSON, texts too, or sounds. `most` and `values` bound
    an answer that comes whole and a request; `large` is the field of an answer that makes it large. `defaults` are fields that
    the model's settings fill in; `pictures`: it makes some.
    """

    path: str
    summary: str
    operation: str
    scope: str
    type: str
    shape: RouteShape
    takes: Literal["json", "form", "either"] = "json"
    gives: Literal["json", "text", "sound"] = "json"
    unnamed: bool = False
    most: int = MOST_JSON
    large: str = ""
    values: int = 0
    defaults: Mapping[str, str] = {}
    pictures: bool = False

    def allows(self, kind: str, *, streams: bool) -> bool:
        """Tell whether an answer of a media type is one of this route's."""
        if kind.startswith(EVENTS):
            return streams
        if self.gives == "sound":
            return kind.startswith(("audio/", "application/octet-stream", "video/", "binary/"))
        return kind.startswith(JSON) or (self.gives == "text" and is_text(kind))


_SAMPLING = {"temperature": "temperature", "top_p": "top_p", "max_tokens": "max_output_tokens"}


def _rerank(path: str) -> RelayedRoute:
    """Return the row of a path at which clients look for it: Cohere's say v2."""
    return RelayedRoute(
        path=path,
        summary="Documents by how well they answer a query.",
        operation="rerank",
        scope=EMBEDDINGS,
        type=RERANK,
        shape=Rerank(),
        unnamed=True,
    )


ROUTES = (
    RelayedRoute(
        path="/completions",
        summary="Legacy completions, streamed or not.",
        operation="text_completion",
        scope=CHAT,
        type=TEXT_GENERATION,
        shape=PlainShape("/completions", "prompt", "choices", other="array"),
        defaults=_SAMPLING,
    ),
    RelayedRoute(
        path="/embeddings",
        summary="Vectors of texts or tokens.",
        operation="embeddings",
        scope=EMBEDDINGS,
        type=EMBEDDING,
        shape=Embeddings(),
        values=MOST_NUMBERS,
        most=MOST_LARGE,
        large="embedding",
    ),
    *(_rerank(path) for path in ("/rerank", "/v2/rerank")),
    RelayedRoute(
        path="/images/generations",
        summary="Pictures of a prompt.",
        operation="generate_content",
        scope=IMAGES,
        type=IMAGE_GENERATION,
        shape=PlainShape("/images/generations", "prompt", "data"),
        unnamed=True,
        most=MOST_LARGE,
        large="b64_json",
        pictures=True,
    ),
    RelayedRoute(
        path="/images/edits",
        summary="Pictures changed: a form with `image`, or JSON.",
        operation="generate_content",
        scope=IMAGES,
        type=IMAGE_GENERATION,
        shape=ImageEdits(),
        takes="either",
        unnamed=True,
        most=MOST_LARGE,
        large="b64_json",
        pictures=True,
    ),
    RelayedRoute(
        path="/images/variations",
        summary="Variations of a picture: a form with `image`.",
        operation="generate_content",
        scope=IMAGES,
        type=IMAGE_GENERATION,
        shape=PlainShape("/images/variations", "image", "data"),
        takes="form",
        unnamed=True,
        most=MOST_LARGE,
        large="b64_json",
        pictures=True,
    ),
    RelayedRoute(
        path="/audio/speech",
        summary="Speech of a text.",
        operation="generate_content",
        scope=AUDIO,
        type=SPEECH,
        shape=PlainShape("/audio/speech", "input"),
        gives="sound",
    ),
    RelayedRoute(
        path="/audio/transcriptions",
        summary="The text of a recording: a form with `file`.",
        operation="generate_content",
        scope=AUDIO,
        type=TRANSCRIPTION,
        shape=PlainShape("/audio/transcriptions", "file", "text"),
        takes="form",
        gives="text",
    ),
    RelayedRoute(
        path="/audio/translations",
        summary="The text of a recording in English: a form with `file`.",
        operation="generate_content",
        scope=AUDIO,
        type=TRANSCRIPTION,
        shape=PlainShape("/audio/translations", "file", "text"),
        takes="form",
        gives="text",
    ),
)
