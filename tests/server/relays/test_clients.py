"""Relayed routes with the `openai` package as the client: whole and streamed, JSON, forms and bytes."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import openai
import pytest

from antiphon.config import ModelConfig
from tests.server.relays.every_route import PICTURE, SOUND, EveryRoute, vector
from tests.server.whole import Client, upstream, whole_server


@pytest.fixture(scope="module")
def server() -> Iterator[Client]:
    models = {"vectors": ModelConfig(name="text-embedding-mini", aliases=["text-embedding-3-small"])}
    with upstream(EveryRoute) as url, whole_server(url, models=models) as server:
        yield server


@pytest.fixture
def client(server: Client) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def sent() -> dict:
    """Return the body that the backend got last."""
    return EveryRoute.seen[-1][2]


def test_embeddings(client: openai.OpenAI) -> None:
    made = client.embeddings.create(model="vectors", input=["one two", "three"])
    assert [one.embedding for one in made.data] == [vector("one two"), vector("three")]
    assert (made.model, made.usage.prompt_tokens, made.usage.total_tokens) == ("vectors", 3, 3)
    assert sent() == {"model": "text-embedding-mini", "input": ["one two", "three"], "encoding_format": "base64"}


@pytest.mark.parametrize("input", ["a text", ["a text"], [1, 2, 3], [[1, 2, 3], [4]]])
@pytest.mark.parametrize("form", ["float", "base64"])
def test_embeddings_of_texts_and_tokens(server: Client, input: object, form: str) -> None:
    status, made = server.post(
        "/v1/embeddings", model="text-embedding-3-small", input=input, encoding_format=form, dimensions=4
    )
    assert status == 200
    assert len(made["data"]) == (2 if input == [[1, 2, 3], [4]] else 1)
    assert made["model"] == "text-embedding-3-small"
    for entry in made["data"]:
        assert (len(entry["embedding"]) == 4) if form == "float" else len(base64.b64decode(entry["embedding"])) == 16


def test_completions(client: openai.OpenAI) -> None:
    whole = client.completions.create(model="babbage", prompt="Say this", max_tokens=7, temperature=0)
    assert whole.choices[0].text == "Echo: Say this"
    assert sent() == {"model": "babbage", "prompt": "Say this", "max_tokens": 7, "temperature": 0}
    chunks = list(client.completions.create(model="babbage", prompt="Say this", stream=True))
    assert [chunk.choices[0].text for chunk in chunks if chunk.choices] == ["Echo:", "Say", "this", ""]
    assert chunks[-1].usage is not None


def test_images(client: openai.OpenAI) -> None:
    made = client.images.generate(model="gpt-image-small", prompt="A cat.", n=2)
    assert [base64.b64decode(one.b64_json or "") for one in made.data or ()] == [PICTURE, PICTURE]
    events = list(client.images.generate(prompt="A cat.", stream=True, partial_images=1))
    assert [event.type for event in events] == ["image_generation.partial_image", "image_generation.completed"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forms_with_pictures(client: openai.OpenAI) -> None:
    edited = client.images.edit(image=[("a.png", PICTURE), ("b ü.png", PICTURE)], prompt="Larger.", mask=PICTURE)
    assert len(edited.data or ()) == 1
    form = sent()
    assert (form["prompt"].text, form["model"].text) == ("Larger.", "gpt-image-small")
    assert (form["image[]"].content, form["image[]"].filename) == (PICTURE, "b ü.png")
    assert form["mask"].content == PICTURE
    assert len(client.images.create_variation(image=PICTURE, n=2).data or ()) == 2


def test_speech(client: openai.OpenAI) -> None:
    with client.audio.speech.with_streaming_response.create(model="tts-small", voice="alloy", input="Hello.") as answer:
        assert answer.headers["content-type"] == "audio/wav"
        assert b"".join(answer.iter_bytes()) == SOUND


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ["transcriptions", "translations"])
def test_recordings_to_text(client: openai.OpenAI, kind: str) -> None:
    create = getattr(client.audio, kind).create
    assert create(model="whisper-small", file=("a.wav", SOUND)).text == f"{len(SOUND)} bytes of a.wav"
    text = create(model="whisper-small", file=("a.wav", SOUND), response_format="text")
    assert text == f"{len(SOUND)} bytes of a.wav"


def test_a_transcript_that_is_streamed(client: openai.OpenAI) -> None:
    events = list(client.audio.transcriptions.create(model="whisper-small", file=("a.wav", SOUND), stream=True))
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]


def test_moderations(client: openai.OpenAI) -> None:
    judged = client.moderations.create(input=["I will kill you.", "Hello."])
    assert [one.flagged for one in judged.results] == [True, False]
    assert judged.results[0].categories.violence and not judged.results[0].categories.hate
    assert judged.results[0].category_scores.violence == 0.97
    assert judged.results[0].categories.self_harm is False
    assert judged.model == "text-moderation-small"


def test_a_list_by_type(server: Client) -> None:
    status, listed = server.get("/v1/models?type=embedding")
    assert (status, [one["id"] for one in listed["data"]]) == (200, ["vectors", "text-embedding-mini"])
    assert listed["models"] == []
    assert {one["type"] for one in server.get("/v1/models?type=image_generation")[1]["data"]} == {"image_generation"}
    assert server.get("/v1/models?type=text_generation")[1]["data"][0]["id"] == "babbage"
    status, refused = server.get("/v1/models?type=poetry")
    assert (status, refused["error"]["param"]) == (400, "type")
