"""image_generation through the whole server, before a server of images that answers as its prompts say."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterator
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import pytest

from antiphon.config import BackendConfig, Config, KeyConfig, ToolsConfig
from antiphon.config.rules import check
from antiphon.config.tools import ImageGenerationConfig
from antiphon.errors import ConfigError
from tests.golden.rules import check_stream
from tests.server.test_matrix import MODES, end_of
from tests.server.whole import Client, Json, turn, upstream, whole_server
from tests.tools.web.test_web_search import Planned, plan

pytestmark = pytest.mark.slow

DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
USAGE = {
    "input_tokens": 7,
    "output_tokens": 20,
    "total_tokens": 27,
    "input_tokens_details": {"text_tokens": 7, "image_tokens": 0},
}
TOOL = {"type": "image_generation"}


class Painter(BaseHTTPRequestHandler):
    """A server of images. The first word of a prompt says how it answers."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[Json]] = []

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        fields = self._form(body) if self.path.endswith("/edits") else json.loads(body)
        self.asked.append({"path": self.path, "key": self.headers["authorization"], **fields})
        word = fields["prompt"].split()[0]
        picture: Json = {"b64_json": DOT, "revised_prompt": f"A fine {fields['prompt']}"}
        if word == "refused":
            self._send(
                {"error": {"message": "Not of my taste. See http://10.0.0.7/x sk-1234567890abcdefghijklmn"}}, 400
            )
        elif word == "old" and "response_format" in fields:
            self._send({"error": {"message": "Unknown parameter: 'response_format'."}}, 400)
        elif word == "still" and "stream" in fields:
            self._send({"detail": "x", "error": "stream is not supported"}, 422)
        elif word == "address":
            self._send({"data": [{"url": "http://192.0.2.1/a.png"}]})
        elif word == "garbage":
            self._send({"data": [{"b64_json": base64.b64encode(b"<svg/>").decode()}]})
        elif word == "nothing":
            self._send({"data": []})
        elif word == "broken":
            self._send([1])
        elif fields.get("stream"):
            events = [
                {"type": "image_generation.partial_image", "b64_json": DOT, "partial_image_index": 0},
                {"type": "image_generation.completed", "b64_json": DOT, "size": "1024x1024", "usage": USAGE},
            ]
            if word == "cut":
                del events[1]
            frames = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)
            self._reply(frames, "text/event-stream")
        else:
            self._send({"created": 1, "data": [picture], "size": "1024x1024", "usage": USAGE})

    def _form(self, body: bytes) -> Json:
        kind = self.headers["content-type"]
        parsed = BytesParser().parsebytes(b"content-type: %b\r\n\r\n%b" % (kind.encode(), body))
        found: Json = {}
        for part in parsed.get_payload():  # type: ignore[union-attr]
            name = part.get_param("name", header="content-disposition")  # type: ignore[union-attr, call-overload]
            content = part.get_payload(decode=True)  # type: ignore[union-attr, call-arg]
            if part.get_filename():  # type: ignore[union-attr]
                found.setdefault(name, []).append(base64.b64encode(content).decode())
            else:
                found[name] = content.decode()
        return found

    def _send(self, value: object, status: int = 200) -> None:
        self._reply(json.dumps(value).encode(), "application/json", status)

    def _reply(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def painter() -> Iterator[str]:
    with upstream(Painter) as url:
        yield url


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    with upstream(Planned) as url:
        yield url


def tools(painter: str, **fields: Any) -> ToolsConfig:
    return ToolsConfig(image_generation=ImageGenerationConfig(url=painter, key="paint-key", model="brush", **fields))


@pytest.fixture(scope="module")
def client(painter: str, model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    store = str(tmp_path_factory.mktemp("store") / "antiphon.db")
    with whole_server(model, store=store, tools=tools(painter, models=["pencil"])) as served:
        yield served


def draw(*prompts: str, tool: Json | None = None, **fields: Any) -> Json:
    """Return a request whose model asks for pictures; a prompt that begins with `edit ` changes one."""
    calls = [
        ["image_generation", {"prompt": prompt.removeprefix("edit "), "edit": prompt.startswith("edit ")}]
        for prompt in prompts
    ]
    return plan(*calls, **{"tools": [{**TOOL, **(tool or {})}], **fields})


def pictures(response: Json) -> list[Json]:
    return [item for item in response["output"] if item["type"] == "image_generation_call"]


def test_the_events_of_a_picture(client: Client) -> None:
    Painter.asked.clear()
    options = {
        "size": "1536x1024",
        "quality": "high",
        "background": "opaque",
        "output_format": "webp",
        "output_compression": 50,
    }
    events = client.stream(**draw("cat in the rain", tool={**options, "partial_images": 1, "moderation": "low"}))
    check_stream(events)
    made = end_of(events)
    (item,) = pictures(made)
    assert item.pop("id").startswith("ig_")
    assert item == {
        "type": "image_generation_call",
        "status": "completed",
        "result": DOT,
        "action": "generate",
        "revised_prompt": "cat in the rain",
        "size": "1024x1024",
        "output_format": "png",
    }
    names = [
        event["type"].removeprefix("response.image_generation_call.")
        for event in events
        if event.get("output_index") == 0
    ]
    assert names == [
        "response.output_item.added",
        "in_progress",
        "generating",
        "partial_image",
        "completed",
        "response.output_item.done",
    ]
    (partial,) = [event for event in events if event["type"].endswith("partial_image")]
    assert (partial["partial_image_index"], partial["partial_image_b64"]) == (0, DOT)
    (asked,) = Painter.asked
    assert asked == {
        "path": "/v1/images/generations", "key": "Bearer paint-key", "prompt": "cat in the rain", "n": 1, "model": "brush",
        "response_format": "b64_json", "stream": True, "partial_images": 1, "moderation": "low", **options,
    }  # fmt: skip
    counted = made["tool_usage"]["image_gen"]
    assert (counted["input_tokens"], counted["output_tokens"], counted["total_tokens"]) == (7, 20, 27)
    assert Planned.told() == ["The picture was made and is shown to the user."]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode(client: Client, mode: Any) -> None:
    made = mode(client, draw("cat", "dog"))
    assert [(item["status"], item["result"]) for item in pictures(made)] == [("completed", DOT)] * 2
    assert made["tool_usage"]["image_gen"]["total_tokens"] == 54
    assert made["output"][-1]["content"][0]["text"] == "Done."


@pytest.mark.parametrize(("named", "asked"), [("pencil", "pencil"), ("gpt-image-1", "brush"), ("brush", "brush")])
def test_the_operator_says_which_models(client: Client, named: str, asked: str) -> None:
    client.create(**draw("cat", tool={"model": named}))
    assert Painter.asked[-1]["model"] == asked


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("refused cat", "The image server answered with status 400: Not of my taste."),
        ("address of a cat", "The image server gives the picture's address"),
        ("garbage", "The image server's answer is no picture."),
        ("nothing", "The image server's answer holds no picture."),
        ("broken", "The image server's answer is not the expected JSON."),
        ("edit cat", "There is no picture in the conversation"),
        ("", "There is no prompt in the arguments."),
    ],
)
def test_a_picture_that_fails(client: Client, prompt: str, told: str) -> None:
    events = client.stream(**draw(prompt))
    check_stream(events)
    made = end_of(events)
    (item,) = pictures(made)
    assert (item["status"], item["result"], made["status"]) == ("failed", None, "completed")
    assert Planned.told()[-1].startswith(f"Error: {told}")
    assert "10.0.0.7" not in json.dumps(events) and "sk-1234" not in json.dumps(events)


def test_a_stream_that_is_cut(client: Client) -> None:
    (item,) = pictures(client.create(**draw("cut cat", tool={"partial_images": 2})))
    assert item["status"] == "failed"
    assert Planned.told()[-1] == "Error: The image server's answer ended early."


@pytest.mark.parametrize(("prompt", "dropped"), [("old cat", "response_format"), ("still cat", "stream")])
def test_servers_that_do_not_know_how_pictures_come(client: Client, prompt: str, dropped: str) -> None:
    Painter.asked.clear()
    (item,) = pictures(client.create(**draw(prompt, tool={"partial_images": 1})))
    assert item["status"] == "completed"
    assert [dropped in one for one in Painter.asked] == [True, False]


def test_pictures_of_the_conversation_are_changed(client: Client) -> None:
    Painter.asked.clear()
    content = [{"type": "input_image", "image_url": f"data:image/png;base64,{DOT}"}, {"type": "input_text", "text": ""}]
    fields = draw("edit cat", "edit dog", tool={"input_fidelity": "high"})
    content[1]["text"] = fields["input"]
    first = client.create(**{**fields, "input": [{"role": "user", "content": content}]})
    assert [(item["status"], item["action"]) for item in pictures(first)] == [("completed", "edit")] * 2
    one, two = Painter.asked
    assert (one["path"], one["image"], one["input_fidelity"]) == ("/v1/images/edits", [DOT], "high")
    assert two["image[]"] == [DOT, DOT]
    client.create(**draw("edit bird", previous_response_id=first["id"]))
    assert Painter.asked[-1]["image[]"] == [DOT] * 3


@pytest.mark.parametrize(("action", "path"), [("generate", "generations"), ("edit", "edits")])
def test_the_action_may_be_fixed(client: Client, action: str, path: str) -> None:
    mask = {"image_url": f"data:image/png;base64,{DOT}"}
    first = client.create(**draw("cat"))
    client.create(
        **draw("edit dog", tool={"action": action, "input_image_mask": mask}, previous_response_id=first["id"])
    )
    assert Painter.asked[-1]["path"] == f"/v1/images/{path}"
    assert ("mask" in Painter.asked[-1]) == (action == "edit")
    offered = Planned.asked[-1]["tools"][0]["function"]["parameters"]["properties"]
    assert list(offered) == ["prompt"]


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"output_format": "tiff"}, 400, "tools[0].output_format"),
        ({"partial_images": 4}, 400, "tools[0].partial_images"),
        ({"output_compression": 101}, 400, "tools[0].output_compression"),
        ({"input_image_mask": {"file_id": "file-none"}}, 404, "tools[0].input_image_mask.file_id"),
        ({"input_image_mask": {"image_url": "http://192.0.2.1/m.png"}}, 400, "tools[0].input_image_mask"),
        ({"input_image_mask": {"image_url": "data:image/png;base64,AAAA"}}, 400, "tools[0].input_image_mask.image_url"),
    ],
)
def test_a_wrong_declaration_is_refused(client: Client, fields: Json, status: int, param: str) -> None:
    code, body = client.post("/v1/responses", **draw("cat", tool=fields))
    assert (code, body["error"]["param"]) == (status, param)
    with client.websocket() as connection:
        (event,) = turn(connection, **draw("cat", tool=fields))
        assert (event["status"], event["error"]["param"]) == (status, param)


def test_off_until_a_server_is_set(model: str) -> None:
    with whole_server(model) as client:
        request = urllib.request.Request(f"{client.url}/v1/responses", json.dumps(draw("cat")).encode())
        with urllib.request.urlopen(request, timeout=20) as reply:
            assert reply.headers["x-antiphon-ignored"] == "image_generation"
        status, body = client.post("/v1/responses", **draw("cat", tool_choice=TOOL))
        assert (status, body["error"]["code"]) == (400, "tool_not_available")


def test_forced_by_a_key_with_a_limit(painter: str, model: str) -> None:
    keys = {"ann": KeyConfig(key="sk-ann", limits=["1 images/day"])}
    backends = {
        "upstream": BackendConfig(url=model),
        "painter": BackendConfig(url=painter, key="other-key"),
    }
    settings = ToolsConfig(image_generation=ImageGenerationConfig(backend="painter"))
    with whole_server(model, keys=keys, backends=backends, tools=settings) as served:
        ann = Client(served.url, "sk-ann")
        made = ann.create(**draw("cat", "dog", tool_choice=TOOL))
        assert [item["status"] for item in pictures(made)] == ["completed", "failed"]
        assert Painter.asked[-1]["key"] == "Bearer other-key" and "model" not in Painter.asked[-1]
        status, body = ann.post("/v1/responses", **draw("cat", tool_choice=TOOL))
        assert (status, body["error"]["code"]) == (402, "insufficient_quota")


@pytest.mark.parametrize("fields", [{"backend": "nobody"}, {"backend": "a", "url": "http://127.0.0.1:1"}])
def test_settings_that_contradict(fields: Json) -> None:
    backends = {"a": BackendConfig(url="http://127.0.0.1:9")}
    with pytest.raises(ConfigError, match="image_generation"):
        check(Config(backends=backends, tools=ToolsConfig(image_generation=ImageGenerationConfig(**fields))))
