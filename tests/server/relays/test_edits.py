"""Edits of pictures asked for in JSON: stored files and data, to backends that take JSON and to those that take forms."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.server.handlers import call
from tests.server.relays.every_route import PICTURE, EveryRoute, pictures
from tests.server.relays.relay_requests import fault, form
from tests.server.whole import Client

PATH = "/v1/images/edits"
DATA = f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"
FASTAPI = {"detail": [{"type": "missing", "loc": ["body", "image"], "msg": "Field required"}]}
REFUSALS: dict[str, tuple[int, Any]] = {
    "FastAPI": (422, FASTAPI),
    "Go": (500, {"error": {"message": "request Content-Type isn't multipart/form-data"}}),
    "OpenAI": (400, {"error": {"message": "Unsupported content type: must be multipart/form-data", "code": "x"}}),
    "415": (415, {"error": "Unsupported Content-Type"}),
}


def upload(server: Client, content: bytes = PICTURE, name: str = "a.png") -> str:
    path, body, headers = form("/v1/files", purpose="vision")
    _, kind, _ = form("", file=content)
    part = kind.removesuffix(b"--b--\r\n").replace(b"a.bin", name.encode())
    answer = call(server.url, "POST", path, part + body, {"authorization": "Bearer all", **headers})
    return str(json.loads(answer.body)["id"])


def edit(server: Client, key: str = "all", **fields: Any) -> Any:
    body = {"model": "gpt-image-small", "prompt": "A hat.", **fields}
    answer = call(server.url, "POST", PATH, json.dumps(body).encode(), {"authorization": f"Bearer {key}"})
    return answer.status, json.loads(answer.body)


def test_json_with_stored_files(server: Client) -> None:
    id = upload(server)
    status, answer = edit(server, images=[{"file_id": id}, {"image_url": DATA}], mask={"file_id": id}, size="auto")
    assert (status, len(answer["data"])) == (200, 1)
    said = EveryRoute.seen[-1][2]
    assert said["images"] == [{"image_url": DATA}] * 2 and said["mask"] == {"image_url": DATA}


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("count", [1, 2])
def test_a_backend_that_takes_forms_only(server: Client, refusal: str, count: int) -> None:
    def forms_only(handler: EveryRoute) -> None:
        said = handler.seen[-1][2]
        if handler.headers["content-type"].startswith("multipart/"):
            pictures(handler, said)
        else:
            status, body = REFUSALS[refusal]
            handler.json(body, status)

    EveryRoute.broken["/images/edits"] = forms_only
    id = upload(server)
    images = [{"file_id": id}, {"image_url": DATA}][:count]
    status, answer = edit(server, images=images, mask={"image_url": DATA}, n=2, quality="low", user=None)
    assert (status, len(answer["data"])) == (200, 2), answer
    said = EveryRoute.seen[-1][2]
    assert set(said) == {"model", "prompt", "n", "quality", "mask", "image" if count == 1 else "image[]"}
    assert said["mask"].content == said["image" if count == 1 else "image[]"].content == PICTURE
    assert said["n"].text == "2" and said["mask"].content_type == "image/png"


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"images": [{"file_id": "file-unknown"}]}, 404, "images[0].file_id"),
        ({"images": [{"file_id": "file-unknown"}] * 17}, 400, "images"),
        ({"images": [{"image_url": "data:image/png;base64,%%%"}]}, 400, "images[0].image_url"),
        ({"images": [{"image_url": "http://10.0.0.1/a.png"}]}, 400, "images[0].image_url"),
        ({"mask": {"file_id": "file-unknown"}, "images": [{"image_url": DATA}]}, 404, "mask.file_id"),
    ],
)
def test_pictures_that_are_none(server: Client, fields: dict[str, Any], status: int, param: str) -> None:
    seen = len(EveryRoute.seen)
    found, answer = edit(server, **fields)
    assert (found, answer["error"]["param"]) == (status, param)
    assert len(EveryRoute.seen) == seen


def test_files_of_others_and_of_other_kinds(server: Client) -> None:
    text = upload(server, b"words", "a.txt")
    status, answer = edit(server, images=[{"file_id": text}])
    assert (status, answer["error"]["param"]) == (400, "images[0].file_id")
    status, answer = edit(server, key="painter", images=[{"file_id": upload(server)}])
    assert (status, fault(json.dumps(answer).encode())["code"]) == (404, "file_not_found")
