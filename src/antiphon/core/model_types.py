"""Types of models: what a model is for, by what its server says of it or by its name."""

from __future__ import annotations

from typing import Any

TEXT_GENERATION = "text_generation"
IMAGE_GENERATION = "image_generation"
EMBEDDING = "embedding"
RERANK = "rerank"
MODERATION = "moderation"
SPEECH = "speech"
TRANSCRIPTION = "transcription"

MODEL_TYPES = (TEXT_GENERATION, IMAGE_GENERATION, EMBEDDING, RERANK, MODERATION, SPEECH, TRANSCRIPTION)

SAID = {
    TEXT_GENERATION: "chat completion completions language llm vlm code text text-generation text2text generate",
    IMAGE_GENERATION: "image images image_generation image-generation text-to-image",
    EMBEDDING: "embedding embeddings embed feature-extraction sentence-similarity",
    RERANK: "rerank reranker reranking text-ranking score",
    MODERATION: "moderation moderations classify text-classification",
    SPEECH: "audio_speech speech tts text-to-speech",
    TRANSCRIPTION: "audio_transcription transcription transcribe stt asr automatic-speech-recognition",
}
"""Words with which lists of models say a type (Together, LiteLLM, LM Studio, Infinity, LocalAI, the hub)."""

_BY_WORD = {word: type for type, words in SAID.items() for word in words.split()}

NAMED = (
    (RERANK, "rerank"),
    (EMBEDDING, "embed"),
    (EMBEDDING, "bge"),
    (EMBEDDING, "gte"),
    (EMBEDDING, "e5"),
    (EMBEDDING, "minilm"),
    (TRANSCRIPTION, "whisper"),
    (TRANSCRIPTION, "transcribe"),
    (SPEECH, "tts"),
    (SPEECH, "kokoro"),
    (IMAGE_GENERATION, "dall e"),
    (IMAGE_GENERATION, "gpt image"),
    (IMAGE_GENERATION, "chatgpt image"),
    (IMAGE_GENERATION, "stable diffusion"),
    (IMAGE_GENERATION, "sdxl"),
    (IMAGE_GENERATION, "flux"),
    (IMAGE_GENERATION, "qwen image"),
    (MODERATION, "moderation"),
)
"""Beginnings of words in the names of models that say their type; the first that is found counts."""

_LETTERS = "".join(chr(code) if chr(code).isalnum() else " " for code in range(128))


def said_type(words: Any) -> str:
    """Return the type that a server's words mean; "" where they say none."""
    if isinstance(words, str):
        return _BY_WORD.get(words.lower(), "")
    if isinstance(words, list) and len(words) == 1:
        return said_type(words[0])
    return ""


def type_by_name(name: str) -> str:
    """Return the type that a model's name says; text generation where it says none."""
    plain = f" {name.lower().translate(_LETTERS)}"
    return next((type for type, beginning in NAMED if f" {beginning}" in plain), TEXT_GENERATION)
