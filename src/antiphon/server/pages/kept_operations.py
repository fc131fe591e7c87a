"""What the API's document says of files, vector stores, skills, containers, batches and webhooks, and of relayed routes."""

from __future__ import annotations

from typing import Any

import msgspec

from antiphon.server.api.containers import CreateContainer
from antiphon.server.api.relays.moderations import ModerationRequest
from antiphon.server.api.skills import SetDefault
from antiphon.server.api.uploads import CompleteUpload, CreateUpload
from antiphon.server.api.vectors.shapes import (
    AddFile,
    CreateBatch,
    CreateVectorStore,
    SearchVectorStore,
    UpdateFile,
    UpdateVectorStore,
)
from antiphon.server.batches.anthropic import NewMessageBatch
from antiphon.server.batches.openai import NewBatch
from antiphon.server.pages.operation import Operation
from antiphon.server.webhooks.endpoints import (
    CreateWebhookEndpoint,
    RotateSecret,
    SendSample,
    UpdateWebhookEndpoint,
)
from antiphon.types.request import PromptCacheOptions

PASSED_ON = "Passed on to the model's backend, all further fields too; its answer comes back in OpenAI's shape."


class UploadedFile(msgspec.Struct, rename={"anchor": "expires_after[anchor]", "seconds": "expires_after[seconds]"}):
    """A file, as a form."""

    file: bytes
    purpose: str
    anchor: str | None = None
    seconds: int | None = None


class UploadedPart(msgspec.Struct):
    """A part of an upload, as a form."""

    data: bytes


class UploadedSkill(msgspec.Struct):
    """A skill, as a form."""

    files: list[bytes]


class ContainerFileForm(msgspec.Struct):
    """A file for a container, as a form."""

    file: bytes


class DecisionBody(msgspec.Struct):
    """Questions with a closed set of answers."""

    model: str
    input: str | list[dict[str, Any]]
    questions: list[dict[str, Any]]
    prompt_cache_key: str | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    safety_identifier: str | None = None
    user: str | None = None


class SystemOneBody(msgspec.Struct):
    """The same in other words."""

    model: str
    state: str | dict[str, Any] | list[Any]
    questions: dict[str, dict[str, Any]]
    instructions: str | None = None
    images: list[str] | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    user: str | None = None


class CompletionBody(msgspec.Struct):
    """A text to go on with."""

    model: str
    prompt: str | list[Any]
    max_tokens: int | None = None
    temperature: float | None = None
    stream: bool | None = None


class EmbeddingBody(msgspec.Struct):
    """Texts whose vectors are wanted."""

    model: str
    input: str | list[Any]
    encoding_format: str | None = None
    dimensions: int | None = None


class RerankBody(msgspec.Struct):
    """Documents to be put in order."""

    query: str
    documents: list[Any]
    model: str | None = None
    top_n: int | None = None
    return_documents: bool | None = None


class ImageBody(msgspec.Struct):
    """A picture to be made."""

    prompt: str
    model: str | None = None
    n: int | None = None
    size: str | None = None
    stream: bool | None = None


class ImageEditForm(msgspec.Struct):
    """A picture to be changed, as a form."""

    image: bytes
    prompt: str
    mask: bytes | None = None
    model: str | None = None
    n: int | None = None


class ImageVariationForm(msgspec.Struct):
    """A picture of which variations are wanted, as a form."""

    image: bytes
    model: str | None = None
    n: int | None = None


class SpeechBody(msgspec.Struct):
    """A text to be spoken."""

    model: str
    input: str
    voice: str | None = None
    response_format: str | None = None
    stream_format: str | None = None


class RecordingForm(msgspec.Struct):
    """A recording whose text is wanted, as a form."""

    file: bytes
    model: str
    language: str | None = None
    response_format: str | None = None
    stream: bool | None = None


def _of(
    tag: str, path: str, summary: str, *, body: Any = None, form: Any = None, words: str = "", media: str = ""
) -> tuple[tuple[str, str], Operation]:
    described = Operation(
        tag=tag, summary=summary, words=words, body=body, form=form, media=media or "application/json"
    )
    return ("POST", path), described


_FILES, _VECTORS, _SKILLS, _CONTAINERS = "Files", "Vector stores", "Skills", "Containers"
_BATCHES, _WEBHOOKS, _RELAYED, _DECISIONS = "Batches", "Webhooks", "Relayed routes", "Decisions"

KEPT: dict[tuple[str, str], Operation] = dict(
    (
        _of(_FILES, "/files", "Upload a file", form=UploadedFile, words="Not larger than `max_file`."),
        _of(_FILES, "/uploads", "Begin an upload in parts", body=CreateUpload),
        _of(_FILES, "/uploads/{id}/parts", "Add a part", form=UploadedPart),
        _of(_FILES, "/uploads/{id}/complete", "Make a file of the parts", body=CompleteUpload),
        _of(_VECTORS, "/vector_stores", "Create a vector store", body=CreateVectorStore),
        _of(_VECTORS, "/vector_stores/{id}", "Change it", body=UpdateVectorStore),
        _of(_VECTORS, "/vector_stores/{id}/search", "Search it", body=SearchVectorStore),
        _of(_VECTORS, "/vector_stores/{id}/files", "Add a file", body=AddFile),
        _of(_VECTORS, "/vector_stores/{id}/files/{file_id}", "Change a file's attributes", body=UpdateFile),
        _of(_VECTORS, "/vector_stores/{id}/file_batches", "Add several files", body=CreateBatch),
        _of(_SKILLS, "/skills", "Create a skill", form=UploadedSkill),
        _of(_SKILLS, "/skills/{id}", "Set its default version", body=SetDefault),
        _of(_SKILLS, "/skills/{id}/versions", "Add a version", form=UploadedSkill),
        _of(_CONTAINERS, "/containers", "Create a container", body=CreateContainer),
        _of(_CONTAINERS, "/containers/{id}/files", "Add a file", form=ContainerFileForm),
        _of(_BATCHES, "/batches", "Create a batch", body=NewBatch),
        _of(_BATCHES, "/messages/batches", "Create a batch of messages (Anthropic)", body=NewMessageBatch),
        _of(_WEBHOOKS, "/webhook_endpoints", "Create a webhook endpoint", body=CreateWebhookEndpoint),
        _of(_WEBHOOKS, "/webhook_endpoints/{id}", "Change it", body=UpdateWebhookEndpoint),
        _of(_WEBHOOKS, "/webhook_endpoints/{id}/rotate_secret", "Make another secret", body=RotateSecret),
        _of(_WEBHOOKS, "/webhook_endpoints/{id}/test", "Send a sample event now", body=SendSample),
        _of(_DECISIONS, "/decisions", "Answer questions with probabilities", body=DecisionBody),
        _of(_DECISIONS, "/systemone", "The same in other words", body=SystemOneBody),
        _of(_RELAYED, "/moderations", "Judge texts and pictures", body=ModerationRequest),
        _of(_RELAYED, "/completions", "Go on with a text (legacy completions)", body=CompletionBody, words=PASSED_ON),
        _of(_RELAYED, "/embeddings", "Make vectors of texts", body=EmbeddingBody, words=PASSED_ON),
        _of(_RELAYED, "/rerank", "Put documents in order by a query", body=RerankBody, words=PASSED_ON),
        _of(_RELAYED, "/v2/rerank", "The same, where Cohere's clients look", body=RerankBody, words=PASSED_ON),
        _of(_RELAYED, "/images/generations", "Make pictures", body=ImageBody, words=PASSED_ON),
        _of(_RELAYED, "/images/edits", "Change a picture", form=ImageEditForm, words=PASSED_ON),
        _of(_RELAYED, "/images/variations", "Make variations of a picture", form=ImageVariationForm, words=PASSED_ON),
        _of(_RELAYED, "/audio/speech", "Speak a text", body=SpeechBody, words=PASSED_ON, media="audio/mpeg"),
        _of(_RELAYED, "/audio/transcriptions", "Write a recording down", form=RecordingForm, words=PASSED_ON),
        _of(_RELAYED, "/audio/translations", "The same in English", form=RecordingForm, words=PASSED_ON),
    )
)
TAGS = {
    "files": _FILES,
    "uploads": _FILES,
    "vector_stores": _VECTORS,
    "skills": _SKILLS,
    "containers": _CONTAINERS,
    "batches": _BATCHES,
    "webhook_endpoints": _WEBHOOKS,
    "webhook_event_types": _WEBHOOKS,
}
"""Tags of routes that are described by their handlers' docstrings, by the first word of their paths."""
