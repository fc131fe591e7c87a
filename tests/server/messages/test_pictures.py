"""Pictures: those that a model makes, and those that code has drawn; streamed and not, from backends of both kinds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2 as httpx
import pytest

from tests.server.api.test_chat_translated import in_front_of
from tests.server.messages.case_requests import asking, both
from tests.server.messages.planned import Planned, planned
from tests.server.messages.test_server_tools import CODE
from tests.server.test_messages import folded
from tests.server.whole import Client, Json, upstream, whole_server

pytestmark = pytest.mark.slow

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
JPEG = "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJ"


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Client]]:
    with upstream(Planned) as url, whole_server(url) as chat, in_front_of(chat) as responses:
        yield {"chat": chat, "responses": responses}


def drawn(*pictures: str) -> Json:
    images = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}} for data in pictures]
    return planned(deltas=[{"content": "Here."}, *({"images": [one]} for one in images), {"content": "Done."}])


def image(data: str, kind: str) -> Json:
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}


@pytest.mark.parametrize("backend", ["chat", "responses"])
def test_pictures_of_a_model_are_image_blocks(servers: dict[str, Client], backend: str) -> None:
    client = servers[backend]
    message = both(client, [drawn(PNG, JPEG)])
    first, png, jpeg, last = message["content"]
    assert (first["text"], last["text"]) == ("Here.", "Done.")
    assert [png, jpeg] == [image(PNG, "image/png"), image(JPEG, "image/jpeg")]
    user = drawn(PNG, JPEG)
    sent = asking([user, {"role": "assistant", "content": message["content"]}, planned(say="Well.")])
    answer = httpx.post(f"{client.url}/v1/messages", json=sent)
    assert answer.status_code == 200 and "x-antiphon-ignored" not in answer.headers
    assert PNG not in json.dumps(Planned.asked[-1]) and "Here." in json.dumps(Planned.asked[-1])


def test_the_sdk_folds_them(servers: dict[str, Client]) -> None:
    client: Any = anthropic.Anthropic(auth_token="none", base_url=servers["chat"].url, max_retries=0)
    with client.messages.stream(model="m", max_tokens=99, messages=[drawn(PNG)]) as stream:
        folded = stream.get_final_message()
    assert folded.content[1].type == "image" and folded.content[1].source["data"] == PNG


@pytest.mark.parametrize("stream", [False, True])
def test_a_translated_chat_completion_has_them_too(servers: dict[str, Client], stream: bool) -> None:
    body = {"model": "m", "messages": [drawn(PNG)], "stream": stream}
    answer = httpx.post(f"{servers['responses'].url}/v1/chat/completions", json=body)
    if stream:
        lines = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line.startswith("data: {")]
        found = [one for line in lines for one in line["choices"][0]["delta"].get("images", [])]
    else:
        found = answer.json()["choices"][0]["message"]["images"]
    assert found == [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}]


PLOT = """
import base64, sys
class Plot:
    def _repr_png_(self):
        return base64.b64decode("PICTURE")
Plot()
""".replace("PICTURE", PNG)


def test_a_plot_follows_the_result_of_its_code(servers: dict[str, Client]) -> None:
    """What code has shown is an image block; what it has saved is a file of its container."""
    client = servers["chat"]
    code = f"open('a.txt', 'w').write('kept')\n{PLOT}"
    body = {"model": "m", "max_tokens": 99, "messages": [planned(["python", {"code": code}], say="Drawn.")]}
    message = httpx.post(f"{client.url}/v1/messages", json={**body, "tools": [CODE]}).json()
    _, result, *rest = message["content"]
    if result["content"].get("error_code") == "unavailable":
        pytest.skip("no sandbox on this machine")
    streamed = folded(httpx.post(f"{client.url}/v1/messages", json={**body, "tools": [CODE], "stream": True}).text)
    assert [block["type"] for block in rest] == ["image", "text"] and result["content"]["stderr"] == ""
    assert rest == streamed["content"][2:] and rest[0] == image(PNG, "image/png")
    (file,) = result["content"]["content"]
    assert file["type"] == "code_execution_output"
    path = f"{client.url}/v1/containers/{message['container']['id']}/files/{file['file_id']}/content"
    assert httpx.get(path).content == b"kept"
