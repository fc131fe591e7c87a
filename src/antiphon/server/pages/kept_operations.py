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
        _of(_FILES, "/uploads/{id}/parts", "Add a part to an upload", form=UploadedPart),
        _of(_FILES, "/uploads/{id}/complete", "Complete an upload", body=CompleteUpload),
        _of(_VECTORS, "/vector_stores", "Create a vector store", body=CreateVectorStore),
        _of(_VECTORS, "/vector_stores/{id}", "Change a vector store", body=UpdateVectorStore),
        _of(_VECTORS, "/vector_stores/{id}/search", "Search a vector store", body=SearchVectorStore),
        _of(_VECTORS, "/vector_stores/{id}/files", "Add a file to a vector store", body=AddFile),
        _of(_VECTORS, "/vector_stores/{id}/files/{file_id}", "Change a file's attributes", body=UpdateFile),
        _of(_VECTORS, "/vector_stores/{id}/file_batches", "Add several files to a vector store", body=CreateBatch),
        _of(_SKILLS, "/skills", "Create a skill", form=UploadedSkill),
        _of(_SKILLS, "/skills/{id}", "Set the default version of a skill", body=SetDefault),
        _of(_SKILLS, "/skills/{id}/versions", "Add a version to a skill", form=UploadedSkill),
        _of(_CONTAINERS, "/containers", "Create a container", body=CreateContainer),
        _of(_CONTAINERS, "/containers/{id}/files", "Add a file to a container", form=ContainerFileForm),
        _of(_BATCHES, "/batches", "Create a batch", body=NewBatch),
        _of(_BATCHES, "/messages/batches", "Create a batch of messages (Anthropic)", body=NewMessageBatch),
        _of(_WEBHOOKS, "/webhook_endpoints", "Create a webhook endpoint", body=CreateWebhookEndpoint),
        _of(_WEBHOOKS, "/webhook_endpoints/{id}", "Change a webhook endpoint", body=UpdateWebhookEndpoint),
        _of(
            _WEBHOOKS,
            "/webhook_endpoints/{id}/rotate_secret",
            "Rotate the secret of a webhook endpoint",
            body=RotateSecret,
        ),
        _of(_WEBHOOKS, "/webhook_endpoints/{id}/test", "Send a sample event", body=SendSample),
        _of(_DECISIONS, "/decisions", "Answer questions with probabilities", body=DecisionBody),
        _of(_DECISIONS, "/systemone", "Answer questions, as System One spells them", body=SystemOneBody),
        _of(_RELAYED, "/moderations", "Moderate texts and images", body=ModerationRequest),
        _of(_RELAYED, "/completions", "Complete a text (legacy)", body=CompletionBody, words=PASSED_ON),
        _of(_RELAYED, "/embeddings", "Create embeddings", body=EmbeddingBody, words=PASSED_ON),
        _of(_RELAYED, "/rerank", "Rerank documents", body=RerankBody, words=PASSED_ON),
        _of(_RELAYED, "/v2/rerank", "Rerank documents, where Cohere's clients look", body=RerankBody, words=PASSED_ON),
        _of(_RELAYED, "/images/generations", "Create images", body=ImageBody, words=PASSED_ON),
        _of(_RELAYED, "/images/edits", "Edit an image", form=ImageEditForm, words=PASSED_ON),
        _of(_RELAYED, "/images/variations", "Create variations of an image", form=ImageVariationForm, words=PASSED_ON),
        _of(_RELAYED, "/audio/speech", "Create speech", body=SpeechBody, words=PASSED_ON, media="audio/mpeg"),
        _of(_RELAYED, "/audio/transcriptions", "Transcribe audio", form=RecordingForm, words=PASSED_ON),
        _of(_RELAYED, "/audio/translations", "Translate audio into English", form=RecordingForm, words=PASSED_ON),
    )
)
TAGS = {
    "files": _FILES,
    "uploads": _FILES,
    "vector_stores": _VECTORS,
    "skills": _SKILLS,
    "containers": _CONTAINERS,
    "batches": _BATCHES,
    "messages": _BATCHES,
    "webhook_endpoints": _WEBHOOKS,
    "webhook_event_types": _WEBHOOKS,
}
"""Tags of routes that are described by their handlers' docstrings, by the first word of their paths."""
READ: dict[tuple[str, str], str] = {
    ("GET", "/files"): "List files",
    ("GET", "/files/{id}"): "Read a file's description",
    ("DELETE", "/files/{id}"): "Delete a file",
    ("GET", "/files/{id}/content"): "Download a file",
    ("POST", "/uploads/{id}/cancel"): "Cancel an upload",
    ("GET", "/vector_stores"): "List vector stores",
    ("GET", "/vector_stores/{id}"): "Read a vector store",
    ("DELETE", "/vector_stores/{id}"): "Delete a vector store",
    ("GET", "/vector_stores/{id}/files"): "List the files of a vector store",
    ("GET", "/vector_stores/{id}/files/{file_id}"): "Read a file of a vector store",
    ("DELETE", "/vector_stores/{id}/files/{file_id}"): "Remove a file from a vector store",
    ("GET", "/vector_stores/{id}/files/{file_id}/content"): "Read the text of a file of a vector store",
    ("GET", "/vector_stores/{id}/file_batches/{batch_id}"): "Read a batch of files",
    ("POST", "/vector_stores/{id}/file_batches/{batch_id}/cancel"): "Cancel a batch of files",
    ("GET", "/vector_stores/{id}/file_batches/{batch_id}/files"): "List the files of a batch",
    ("GET", "/skills"): "List skills",
    ("GET", "/skills/{id}"): "Read a skill",
    ("DELETE", "/skills/{id}"): "Delete a skill",
    ("GET", "/skills/{id}/content"): "Download a skill",
    ("GET", "/skills/{id}/versions"): "List the versions of a skill",
    ("GET", "/skills/{id}/versions/{version}"): "Read a version of a skill",
    ("DELETE", "/skills/{id}/versions/{version}"): "Delete a version of a skill",
    ("GET", "/skills/{id}/versions/{version}/content"): "Download a version of a skill",
    ("GET", "/containers"): "List containers",
    ("GET", "/containers/{id}"): "Read a container",
    ("DELETE", "/containers/{id}"): "Delete a container",
    ("GET", "/containers/{id}/files"): "List the files of a container",
    ("GET", "/containers/{id}/files/{file_id}"): "Read the description of a container's file",
    ("DELETE", "/containers/{id}/files/{file_id}"): "Delete a file of a container",
    ("GET", "/containers/{id}/files/{file_id}/content"): "Download a file of a container",
    ("GET", "/batches"): "List batches",
    ("GET", "/batches/{id}"): "Read a batch",
    ("POST", "/batches/{id}/cancel"): "Cancel a batch",
    ("GET", "/messages/batches"): "List batches of messages (Anthropic)",
    ("GET", "/messages/batches/{id}"): "Read a batch of messages (Anthropic)",
    ("DELETE", "/messages/batches/{id}"): "Delete a batch of messages (Anthropic)",
    ("POST", "/messages/batches/{id}/cancel"): "Cancel a batch of messages (Anthropic)",
    ("GET", "/messages/batches/{id}/results"): "Read the results of a batch of messages (Anthropic)",
    ("GET", "/webhook_endpoints"): "List webhook endpoints",
    ("GET", "/webhook_endpoints/{id}"): "Read a webhook endpoint",
    ("DELETE", "/webhook_endpoints/{id}"): "Delete a webhook endpoint",
    ("GET", "/webhook_event_types"): "List types of webhook events",
}
"""Summaries of the routes without a body; their words are their handlers' docstrings."""
