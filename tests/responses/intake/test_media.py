"""Images and files of requests: what a backend gets of them."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import msgspec
import pytest
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.request.decoding import decode_items
from antiphon.errors import APIError, InvalidRequest
from antiphon.net.fetching import Fetcher
from antiphon.net.url_guard import UrlGuard
from antiphon.responses.intake.media import AS_SENT, GONE, MOST_URLS, Media, MediaForm
from antiphon.stores.open import open_memory
from antiphon.stores.records import StoredFile
from antiphon.types.items import InputFile, InputImage, InputText, Item, Message, OtherItem
from tests.net.upstream import Call, Upstream, running

PNG = b"\x89PNG\r\n\x1a\n"
PNG_URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
LIMIT = 10_000
TEXT = MediaForm(files_as_text=True)


@pytest.fixture
async def media() -> Media:
    store = open_memory()
    for name, kind, content in (
        ("a.png", "image/png", PNG),
        ("notes.md", "text/markdown", b"# N\xc3\xb6tes"),
        ("b.pdf", "application/pdf", b"%PDF-1"),
        ("big.bin", "application/octet-stream", b"\xff" * (LIMIT + 1)),
    ):
        id = f"file_{name.partition('.')[0]}"
        file = StoredFile(
            id=id, owner="ann", filename=name, purpose="user_data", media_type=kind, size=len(content), created_at=0
        )
        await store.files.put(file, content)
    guard = UrlGuard(["127.0.0.0/8"])
    return Media(store.files, guard, Fetcher(guard, limit=LIMIT), lambda: 1.0, limit=LIMIT)


@pytest.fixture
async def site() -> AsyncIterator[Upstream]:
    async def serve(call: Call) -> None:
        kinds = {
            "png": ("image/png", PNG),
            "md": ("text/plain; charset=utf-8", b"# Hi"),
            "pdf": ("application/pdf", b"%PDF"),
        }
        kind, content = kinds.get(call.path.rpartition(".")[2], ("application/octet-stream", b"x" * (LIMIT + 1)))
        await call.answer(content, type=kind)

    async with running(serve) as server:
        yield server


def message(*parts: object, role: str = "user") -> dict[str, object]:
    return {"type": "message", "role": role, "content": list(parts)}


def items(*raw: object) -> list[Item]:
    return decode_items([Raw(to_json(value)) for value in raw])


async def one(media: Media, part: dict[str, object], form: MediaForm = AS_SENT) -> object:
    """Admit one part in a message and the same in a tool's output; return what became of it."""
    output = {"type": "function_call_output", "call_id": "c", "output": [part]}
    before = items(message({"type": "input_text", "text": "see"}, part), output)
    ready = await media.admit(before, "ann", form=form)
    assert ready[0].content[1] == ready[1].output[0]  # type: ignore[union-attr]
    assert ready[0].content[0] == InputText(text="see")  # type: ignore[union-attr]
    return ready[1].output[0]  # type: ignore[union-attr]


async def refusal(media: Media, part: dict[str, object], form: MediaForm = AS_SENT) -> tuple[int, str, str]:
    with pytest.raises(APIError) as error:
        await media.admit(
            items({"role": "user", "content": "x"}, message({"type": "input_text", "text": "x"}, part)),
            "ann",
            form=form,
        )
    prefix = "input[1].content[1]."
    assert error.value.param.startswith(prefix)
    return error.value.status, error.value.code, error.value.param.removeprefix(prefix)


# Nothing to do


async def test_items_without_media_are_passed_on_as_they_are(media: Media) -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "x"}]}
    many = items({"role": "user", "content": "x"}, message({"type": "input_text", "text": "x"}), *[call, output] * 60)
    assert await media.admit(many, "ann") is many
    assert await media.restore(many, "ann") is many


# Images


async def test_images_that_need_nothing(media: Media) -> None:
    for url in (
        PNG_URL,
        PNG_URL.replace("data:image", "DATA:IMAGE"),
        "http://127.0.0.1:9/a.png",
        "https://8.8.8.8/a.png",
    ):
        part = {"type": "input_image", "image_url": url, "detail": "high"}
        assert await one(media, part) == InputImage(image_url=url, detail="high")


async def test_a_host_that_only_the_backend_knows_has_to_be_allowed(media: Media) -> None:
    url = "http://images.invalid/a.png"
    part = {"type": "input_image", "image_url": url}
    assert await refusal(media, part) == (400, "url_not_reachable", "image_url")
    media.guard.allow(["images.invalid"])
    assert await one(media, part) == InputImage(image_url=url)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://10.0.0.1/a.png", "url_not_allowed"),
        ("http://169.254.169.254/latest", "url_not_allowed"),
        ("file:///etc/passwd", "invalid_url"),
        ("iVBORw0KGgo=", "invalid_url"),
        ("data:image/png,abc", "invalid_data_url"),
        ("data:image/png;base64,", "invalid_data_url"),
        ("data:;base64,abcd", "invalid_data_url"),
        ("data:", "invalid_data_url"),
        ("data:text/html;base64,abcd", "invalid_image"),
        ("data:image/png;base64," + "A" * (LIMIT * 4 // 3 + 10), "file_too_large"),
    ],
)
async def test_images_that_are_refused(media: Media, url: str, code: str) -> None:
    assert await refusal(media, {"type": "input_image", "image_url": url}) == (400, code, "image_url")


async def test_an_image_by_file_id(media: Media) -> None:
    part = await one(media, {"type": "input_image", "file_id": "file_a", "detail": "low"})
    assert part == InputImage(image_url=PNG_URL, detail="low")
    wrong = {"type": "input_image", "file_id": "file_none"}
    assert await refusal(media, wrong) == (404, "file_not_found", "file_id")
    assert await refusal(media, {"type": "input_image", "file_id": "file_b"}) == (400, "invalid_image", "file_id")
    assert await refusal(media, {"type": "input_image"}) == (400, "missing_required_parameter", "image_url")


async def test_images_as_data_for_backends_that_fetch_nothing(media: Media, site: Upstream) -> None:
    form = MediaForm(inline_images=True)
    part = await one(media, {"type": "input_image", "image_url": f"{site.url}/a.png"}, form)
    assert part == InputImage(image_url=PNG_URL)
    page = {"type": "input_image", "image_url": f"{site.url}/a.md"}
    assert await refusal(media, page, form) == (400, "invalid_image", "image_url")
    media.max_image = len(PNG) - 1
    large = {"type": "input_image", "image_url": f"{site.url}/b.png"}
    assert await refusal(media, large, form) == (400, "file_too_large", "image_url")


async def test_an_image_that_stands_twice_is_fetched_once(media: Media, site: Upstream) -> None:
    parts = [{"type": "input_image", "image_url": f"{site.url}/{name}.png"} for name in "aba"]
    (ready,) = await media.admit(items(message(*parts)), "ann", form=MediaForm(inline_images=True))
    assert isinstance(ready, Message) and ready.content == [InputImage(image_url=PNG_URL)] * 3
    assert sorted(call.path for call in site.calls) == ["/v1/a.png", "/v1/b.png"]


async def test_urls_are_counted(media: Media) -> None:
    parts = [{"type": "input_image", "image_url": f"http://127.0.0.1:9/{n}.png"} for n in range(MOST_URLS + 1)]
    with pytest.raises(InvalidRequest) as error:
        await media.admit(items(message(*parts)), "ann")
    assert (error.value.code, error.value.param) == ("too_many_urls", f"input[0].content[{MOST_URLS}].image_url")


async def test_an_earlier_image_that_is_gone_becomes_a_note(media: Media) -> None:
    parts = [{"type": "input_image", "image_url": "http://127.0.0.1:9/gone.png"}]
    (ready,) = await media.restore(items(message(*parts)), "ann", form=MediaForm(inline_images=True))
    assert isinstance(ready, Message) and ready.content == [InputText(text=GONE)]


# Files


async def test_a_file_by_url(media: Media, site: Upstream) -> None:
    part = {"type": "input_file", "file_url": f"{site.url}/a.pdf"}
    assert await one(media, part) == InputFile(filename="a.pdf", file_data="data:application/pdf;base64,JVBERg==")
    text = {"type": "input_file", "file_url": f"{site.url}/a.md"}
    assert await one(media, text) == InputFile(filename="a.md", file_data="data:text/markdown;base64,IyBIaQ==")
    assert await one(media, text, TEXT) == InputText(text="File a.md:\n# Hi")
    assert await one(media, {**text, "filename": "my.txt"}, TEXT) == InputText(text="File my.txt:\n# Hi")
    large = {"type": "input_file", "file_url": f"{site.url}/a.bin"}
    assert await refusal(media, large) == (400, "file_too_large", "file_url")
    private = {"type": "input_file", "file_url": "http://10.0.0.1/a"}
    assert await refusal(media, private) == (400, "url_not_allowed", "file_url")


async def test_a_file_by_id(media: Media) -> None:
    part = {"type": "input_file", "file_id": "file_b"}
    assert await one(media, part, TEXT) == InputFile(filename="b.pdf", file_data="data:application/pdf;base64,JVBERi0x")
    assert await one(media, {"type": "input_file", "file_id": "file_notes"}, TEXT) == InputText(
        text="File notes.md:\n# Nötes"
    )
    unknown = {"type": "input_file", "file_id": "file_none"}
    assert await refusal(media, unknown) == (404, "file_not_found", "file_id")
    assert await refusal(media, {"type": "input_file", "file_id": "file_big"}) == (400, "file_too_large", "file_id")
    assert await refusal(media, {"type": "input_file"}) == (400, "missing_required_parameter", "file_data")


async def test_anothers_file_is_unknown(media: Media) -> None:
    with pytest.raises(APIError) as error:
        await media.admit(items(message({"type": "input_file", "file_id": "file_b"})), "bob")
    assert (error.value.status, error.value.code) == (404, "file_not_found")


async def test_a_file_as_data(media: Media) -> None:
    data = base64.b64encode(b"print()").decode()
    for file_data in (data, f"data:text/x-python;base64,{data}"):
        part = {"type": "input_file", "filename": "a.py", "file_data": file_data}
        assert await one(media, part) == InputFile(filename="a.py", file_data=file_data)
        assert await one(media, part, TEXT) == InputText(text="File a.py:\nprint()")
    broken = {"type": "input_file", "filename": "a.py", "file_data": "data:text/plain;base64,#"}
    assert await refusal(media, broken, TEXT) == (400, "invalid_base64", "file_data")
    assert await refusal(media, {**broken, "file_data": "data:x"}) == (400, "invalid_data_url", "file_data")
    assert await refusal(media, {**broken, "file_data": "A" * 2 * LIMIT}) == (400, "file_too_large", "file_data")


async def test_all_files_of_a_request_have_one_limit(media: Media) -> None:
    part = {"type": "input_file", "file_data": "A" * LIMIT}
    await media.admit(items(message(part)), "ann")
    with pytest.raises(InvalidRequest) as error:
        await media.admit(items(message(part), message(part)), "ann")
    assert (error.value.code, error.value.param) == ("file_too_large", "input[1].content[0].file_data")


async def test_screenshots_are_guarded(media: Media) -> None:
    def output(url: str) -> list[Item]:
        shot = {"type": "computer_screenshot", "image_url": url}
        return items({"type": "computer_call_output", "call_id": "c", "output": shot})

    for url in (PNG_URL, "http://127.0.0.1/a.png"):
        assert await media.admit(output(url), "ann") == output(url)
    with pytest.raises(InvalidRequest) as error:
        await media.admit(output("http://10.0.0.1/"), "ann", path="items")
    assert (error.value.code, error.value.param) == ("url_not_allowed", "items[0].output.image_url")


async def test_screenshots_are_fetched_for_backends_that_fetch_nothing(media: Media, site: Upstream) -> None:
    shot = {"type": "computer_screenshot", "image_url": f"{site.url}/a.png"}
    output = items({"type": "computer_call_output", "call_id": "c", "output": shot, "odd": [1]})
    (ready,) = await media.admit(output, "ann", form=MediaForm(inline_images=True))
    assert isinstance(ready, OtherItem)
    assert msgspec.json.decode(ready.raw) == {
        "type": "computer_call_output",
        "call_id": "c",
        "output": {"type": "computer_screenshot", "image_url": PNG_URL},
        "odd": [1],
    }


# Earlier turns


async def test_what_is_gone_from_earlier_turns_becomes_a_note(media: Media) -> None:
    parts = [{"type": "input_file", "file_id": "file_none"}, {"type": "input_image", "file_id": "file_a"}]
    (ready,) = await media.restore(items(message(*parts)), "ann")
    assert isinstance(ready, Message)
    assert ready.content == [InputText(text=GONE), InputImage(image_url=PNG_URL)]


# The request's own file_id


async def test_a_file_joins_the_last_user_message(media: Media) -> None:
    before = items({"role": "user", "content": "one"}, {"role": "user", "content": "two"}, message(role="assistant"))
    joined = await media.attach(before, "file_b", "ann")
    assert joined[0] == before[0] and joined[2] == before[2]
    assert isinstance(joined[1], Message)
    assert joined[1].content == [InputText(text="two"), InputFile(file_id="file_b", filename="b.pdf")]
    assert before[1].content == "two"  # type: ignore[union-attr]
    again = await media.attach(joined, "file_a", "ann")
    assert isinstance(again[1], Message) and again[1].content[2] == InputImage(file_id="file_a")
    ready = await media.admit(again, "ann")
    assert isinstance(ready[1], Message) and ready[1].content[2] == InputImage(image_url=PNG_URL)


async def test_a_file_without_a_user_message(media: Media) -> None:
    joined = await media.attach([], "file_b", "ann")
    assert joined == [Message(role="user", content=[InputFile(file_id="file_b", filename="b.pdf")])]


async def test_an_unknown_file_of_the_request(media: Media) -> None:
    for id, owner in (("file_none", "ann"), ("file_b", "bob")):
        with pytest.raises(APIError) as error:
            await media.attach([], id, owner)
        assert (error.value.status, error.value.code, error.value.param) == (404, "file_not_found", "file_id")
