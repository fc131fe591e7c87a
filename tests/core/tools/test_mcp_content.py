"""Content of MCP results: the text of an item, and what a model is shown of it. One table, both ways."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.tools.mcp_content import ALL, MOST_SHOWN, Senses, for_senses, item_text, shown_to_model
from antiphon.types.items import InputAudio, InputImage, InputText
from tests.growth import assert_linear, cpu_time

NOT = ": it cannot be shown to a model.]"


def coded(content: bytes) -> str:
    return base64.b64encode(content).decode()


PNG = coded(b"\x89PNG\r\n\x1a\n" + b"0" * 40)
JPEG = coded(b"\xff\xd8\xff" + b"0" * 40)
WEBP = coded(b"RIFF0000WEBP" + b"0" * 40)


def text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def image(data: str, kind: str = "image/png", **more: object) -> dict[str, Any]:
    return {"type": "image", "data": data, "mimeType": kind, **more}


def resource(**fields: object) -> dict[str, Any]:
    return {"type": "resource", "resource": {"uri": "file:///a", **fields}}


def shown(*content: object, structured: object = None) -> list[str]:
    """Return what a model is shown of a result: texts, data URLs and sounds."""
    kept = item_text([Raw(to_json(part)) for part in content], Raw(to_json(structured)))
    parts = shown_to_model(kept)
    if isinstance(parts, str):
        return [parts]
    return [told(part) for part in parts]


def told(part: Any) -> str:
    if isinstance(part, InputImage):
        assert isinstance(part.image_url, str)
        return part.image_url
    if isinstance(part, InputAudio):
        return f"{part.input_audio.format}:{part.input_audio.data}"
    assert isinstance(part, InputText)
    return part.text


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        ([text("a")], ["a"]),
        ([text("a"), text("b")], ["a\nb"]),
        ([], [""]),
        ([image(PNG)], [f"data:image/png;base64,{PNG}"]),
        (
            [text("a"), image(PNG), text("b\n\nc"), image(WEBP)],
            ["a", f"data:image/png;base64,{PNG}", "b\n\nc", f"data:image/webp;base64,{WEBP}"],
        ),
        ([image(JPEG, "image/png")], [f"data:image/jpeg;base64,{JPEG}"]),
        ([image(f"data:image/png;base64,{PNG}", "")], [f"data:image/png;base64,{PNG}"]),
        ([image(PNG[:20] + "\n" + PNG[20:])], [f"data:image/png;base64,{PNG}"]),
        ([image(PNG, annotations={"audience": ["user"]}, _meta={"a\nb": 1})], [f"data:image/png;base64,{PNG}"]),
        ([{"data": PNG, "mimeType": "image/png", "type": "image"}], [f"data:image/png;base64,{PNG}"]),
        ([image("!" * 40)], [f"[An image, image/png, 30 bytes{NOT}"]),
        ([image(coded(b"<svg/>"), "image/svg+xml")], [f"[An image, image/svg+xml, 6 bytes{NOT}"]),
        ([image("")], [f"[An image, image/png, 0 bytes{NOT}"]),
        ([{"type": "audio", "data": coded(b"RIFF"), "mimeType": "audio/wav"}], [f"wav:{coded(b'RIFF')}"]),
        (
            [{"type": "audio", "data": coded(b"fLaC"), "mimeType": "audio/flac"}],
            [f"[A sound, audio/flac, 6 bytes{NOT}"],
        ),
        ([resource(text="a\nb", mimeType="text/plain")], ["file:///a:\na\nb"]),
        ([resource(blob=coded(b"a\nb"), mimeType="text/csv; charset=utf-8")], ["file:///a:\na\nb"]),
        ([resource(blob=PNG, mimeType="image/png")], [f"data:image/png;base64,{PNG}"]),
        (
            [resource(blob=coded(b"%PDF-"), mimeType="application/pdf")],
            [f"[The resource file:///a, application/pdf, 6 bytes{NOT}"],
        ),
        (
            [{"type": "resource_link", "uri": "file:///a", "name": "a"}],
            ['{"type":"resource_link","uri":"file:///a","name":"a"}'],
        ),
        ([{"type": "hologram", "a": [1]}], ['{"type":"hologram","a":[1]}']),
        ([text('{"type":"image"'), text("b")], ['{"type":"image"\nb']),
        ([text('x {"type":"image","data":"a"}')], ['x {"type":"image","data":"a"}']),
        ([text('{"type":"image","data":5}'), text("b")], ['{"type":"image","data":5}\nb']),
    ],
)
def test_each_kind_of_part_has_its_rule(content: list[dict[str, Any]], seen: list[str]) -> None:
    assert shown(*content) == seen


@pytest.mark.parametrize(
    ("content", "structured", "added"),
    [
        ([text('{"a": 1}')], {"a": 1}, False),
        ([text('{\n  "a": "\\u00e4",\n "b": 1.0}')], {"b": 1, "a": "ä"}, False),
        ([text("5")], {"result": 5}, False),
        ([text("five")], {"result": "five"}, False),
        ([text("5")], 5, False),
        ([text("a"), text("b")], {"result": ["a", "b"]}, False),
        ([text('{"a":1}'), text('{"a":2}')], [{"a": 1}, {"a": 2}], False),
        ([text("Found 2 users.")], {"users": [1, 2]}, True),
        ([text("Found 2 users.")], [1, 2], True),
        ([image(PNG)], {"page": 1}, True),
        ([], {"page": 1}, True),
        ([text("a")], None, False),
        ([text('{"a": 1}')], {"a": True, "b": 1}, True),
    ],
)
def test_a_structured_result_is_told_once(content: list[dict[str, Any]], structured: object, added: bool) -> None:
    alone, both = shown(*content), shown(*content, structured=structured)
    line = to_json(structured).decode()
    assert both == alone if not added else line in "\n".join(both)


def test_a_large_structured_result_is_compared_by_its_spelling() -> None:
    large = {f"k{n}": n for n in range(20_000)}
    assert shown(text(msgspec.json.format(to_json(large)).decode()), structured=large) != shown(structured=large)
    assert len("".join(shown(text(to_json(large).decode()), structured=large))) == len(to_json(large))


@pytest.mark.parametrize(("images", "audio"), [(True, True), (True, False), (False, True), (False, False)])
def test_what_a_model_does_not_take_is_a_note(images: bool, audio: bool) -> None:
    sound = {"type": "audio", "data": coded(b"RIFF"), "mimeType": "audio/wav"}
    kept = shown_to_model("\n".join(to_json(part).decode() for part in (image(PNG), sound)))
    seen = [told(part) for part in for_senses(kept, Senses(images=images, audio=audio))]
    assert seen[0].startswith("data:" if images else "[An image, ")
    assert seen[1].startswith("wav:" if audio else "[A sound, wav, 6 bytes: ")
    assert images or PNG not in "".join(seen)
    assert for_senses("a", Senses(images=False)) == "a"
    assert for_senses(kept, ALL) is kept


def test_lines_without_end_are_looked_at_within_bounds() -> None:
    line = to_json(resource(text="x")).decode()
    parts = shown_to_model("\n".join([line] * (MOST_SHOWN + 5)))
    assert len(parts) == MOST_SHOWN + 1


@pytest.mark.parametrize(
    "piece", ['{"type":"', '{"type":"image",', '\n{"type":"image",x', '\n{"type":"image","data":""}', "\n"]
)
def test_looking_for_parts_is_linear(piece: str) -> None:
    assert_linear(lambda n: cpu_time(lambda: shown_to_model('{"type":"' + piece * n)), 20_000)
