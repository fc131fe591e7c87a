"""The suite is fair: what it says is missing is required by the documents, and by the types of OpenAI's own client."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types import (
    Batch,
    CompletionUsage,
    CreateEmbeddingResponse,
    Embedding,
    FileObject,
    Model,
    Moderation,
    ModerationCreateResponse,
    VectorStore,
)
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.vector_stores import VectorStoreFile
from pydantic import BaseModel

from antiphon.conformance import shapes
from antiphon.conformance.shapes import EVENTS, ObjectShape
from tests.oracle.documents import OPENAI

DOCUMENTED: list[tuple[ObjectShape, str]] = [
    (shapes.RESPONSE, "Response"),
    (shapes.USAGE, "ResponseUsage"),
    (shapes.MESSAGE, "OutputMessage"),
    (shapes.TEXT, "OutputTextContent"),
    (shapes.FUNCTION_CALL, "FunctionToolCallResource"),
    (shapes.CUSTOM_CALL, "CustomToolCall"),
    (shapes.REASONING, "ReasoningItem"),
    (shapes.PAGE, "ResponseItemList"),
    (shapes.COUNT, "TokenCountsResource"),
    (shapes.COMPACTION, "CompactResource"),
    (shapes.CONVERSATION, "ConversationResource"),
    (shapes.ERROR, "Error"),
]
TYPED: list[tuple[ObjectShape, type[BaseModel]]] = [
    (shapes.MODEL, Model),
    (shapes.CHAT, ChatCompletion),
    (shapes.CHAT_CHUNK, ChatCompletionChunk),
    (shapes.CHAT_USAGE, CompletionUsage),
    (shapes.EMBEDDINGS, CreateEmbeddingResponse),
    (shapes.EMBEDDING, Embedding),
    (shapes.MODERATION, ModerationCreateResponse),
    (shapes.VERDICT, Moderation),
    (shapes.FILE, FileObject),
    (shapes.BATCH, Batch),
    (shapes.VECTOR_STORE, VectorStore),
    (shapes.VECTOR_STORE_FILE, VectorStoreFile),
]


def required(name: str) -> set[str]:
    schema = OPENAI.schemas[name]
    found = set(schema.get("required", ()))
    for part in schema.get("allOf", ()):
        found |= required(part["$ref"].rsplit("/", 1)[1]) if "$ref" in part else set(part.get("required", ()))
    return found


@pytest.mark.parametrize(("shape", "name"), DOCUMENTED, ids=lambda value: value if isinstance(value, str) else "")
def test_a_shape_asks_for_what_the_document_requires(shape: ObjectShape, name: str) -> None:
    assert {*shape.must, *shape.should} <= required(name)


@pytest.mark.parametrize("type", EVENTS)
def test_an_event_asks_for_what_the_document_requires(type: str) -> None:
    assert {*EVENTS[type].must, *EVENTS[type].should} <= required(OPENAI.events[type])


@pytest.mark.parametrize(("shape", "type"), TYPED, ids=lambda value: getattr(value, "__name__", ""))
def test_what_clients_break_at_is_required_by_a_client(shape: ObjectShape, type: Any) -> None:
    needed = {name for name, field in type.model_fields.items() if field.is_required()}
    assert set(shape.must) <= needed
    assert set(shape.should) <= set(type.model_fields)
