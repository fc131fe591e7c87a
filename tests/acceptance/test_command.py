"""`antiphon serve` as a person starts it, read by the openai package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import BadRequestError, OpenAI

from tests.acceptance.command import Command, serving

pytestmark = pytest.mark.slow

CONFIG = """
store = "store.db"
[backends.demo]
url = "http://127.0.0.1:9/v1"
api = "scripted"
"""


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "antiphon.toml").write_text(CONFIG)
    with serving(folder, "--config", "antiphon.toml") as running:
        yield running


@pytest.fixture
def client(command: Command) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{command.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_it_answers(client: OpenAI) -> None:
    response = client.responses.create(model="scripted", input="Hello there.")
    assert response.output_text == "Hello there."
    assert client.responses.retrieve(response.id).output_text == "Hello there."


def test_it_streams_the_same_answer(client: OpenAI) -> None:
    with client.responses.stream(model="scripted", input="Hello there.") as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        assert stream.get_final_response().output_text == "".join(pieces) == "Hello there."
    assert len(pieces) > 1


def test_a_refusal_names_the_field(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.responses.create(model="scripted", input="Hello.", temperature=3)
    assert caught.value.param == "temperature"
    assert caught.value.code == "invalid_value"


def test_it_lists_its_models(client: OpenAI) -> None:
    assert "scripted" in [model.id for model in client.models.list()]


def test_it_stops_when_it_is_asked_to(tmp_path: Path) -> None:
    (tmp_path / "antiphon.toml").write_text(CONFIG)
    with serving(tmp_path, "--config", "antiphon.toml") as command:
        assert command.stop() == 0
