"""Templates and their variables."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from antiphon.core.request.prompts import PromptRef, Template, decode_prompt, render
from antiphon.errors import InvalidRequest
from antiphon.types.items import InputFile, InputImage, InputText, Message, OutputText

IMAGE = InputImage(image_url="https://example.com/a.png")
FILE = InputFile(file_id="file_1")


def user(content: object) -> Template:
    return Template(items=[{"type": "message", "role": "user", "content": content}])


def content(template: Template, **variables: object) -> object:
    (item,) = render(template, variables).items  # type: ignore[arg-type]
    assert isinstance(item, Message)
    return item.content


def test_a_prompt_is_decoded() -> None:
    raw = Raw(
        b'{"id":"p","version":"2","variables":{"a":"x","b":{"type":"input_text","text":"y"},'
        b'"c":{"type":"input_image","image_url":"https://example.com/a.png"},"d":{"type":"input_file","file_id":"file_1"}}}'
    )
    variables = {"a": "x", "b": InputText(text="y"), "c": IMAGE, "d": FILE}
    assert decode_prompt(raw) == PromptRef(id="p", version="2", variables=variables)
    assert decode_prompt(Raw(b'{"id":"p","version":null,"variables":null}')) == PromptRef(id="p")


@pytest.mark.parametrize(
    ("raw", "param"),
    [(b"{}", "prompt.id"), (b'{"id":1}', "prompt.id"), (b'{"id":"p","variables":{"a":1}}', "prompt.variables")],
)
def test_a_malformed_prompt(raw: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        decode_prompt(Raw(raw))
    assert error.value.param == param


def test_texts() -> None:
    template = Template(instructions="You help {{name}}; {{ name }}, {{other.one}}!", items=user("Hi {{name}}").items)
    rendered = render(template, {"name": "Ann", "other.one": InputText(text="x")})
    assert rendered.instructions == "You help Ann; Ann, x!"
    assert rendered.items == [Message(role="user", content="Hi Ann")]


def test_a_template_without_placeholders() -> None:
    template = Template(
        instructions="{ {name}} {{}} {{1}} {name}", items=user([{"type": "input_text", "text": "Hi"}]).items
    )
    rendered = render(template, {})
    assert rendered.instructions == template.instructions
    assert rendered.items == [Message(role="user", content=[InputText(text="Hi")])]
    assert render(Template(), {}).items == []


@given(st.text())
def test_what_is_filled_in_is_not_looked_at_again(text: str) -> None:
    assert content(user("<{{a}}>"), a=text + "{{b}}{{a}}") == f"<{text}{{{{b}}}}{{{{a}}}}>"


def test_texts_that_look_like_json_or_escapes() -> None:
    value = '"}], \\1 \\g<0> \n'
    assert content(user("{{a}}"), a=value) == value


def test_images_and_files_cut_a_text_in_parts() -> None:
    expected = [InputText(text="Look: "), IMAGE, InputText(text=" at x and "), FILE]
    assert content(user("Look: {{i}} at {{t}} and {{f}}"), i=IMAGE, t="x", f=FILE) == expected
    parts = [{"type": "input_text", "text": "Look: {{i}} at {{t}} and {{f}}"}]
    assert content(user(parts), i=IMAGE, t="x", f=FILE) == expected
    assert content(user("{{i}}"), i=IMAGE) == [IMAGE]


def test_the_assistants_words_stay_its_own() -> None:
    template = Template(items=[{"role": "assistant", "content": "I see {{i}}"}])
    assert content(template, i=IMAGE) == [OutputText(text="I see "), IMAGE]


def test_any_text_of_an_item_may_have_placeholders() -> None:
    parts = [{"type": "input_image", "image_url": "https://example.com/{{name}}.png"}]
    assert content(user(parts), name="b") == [InputImage(image_url="https://example.com/b.png")]
    template = Template(items=[{"type": "function_call_output", "call_id": "c", "output": "{{x}}"}])
    assert msgspec.structs.asdict(render(template, {"x": "y"}).items[0])["output"] == "y"


@pytest.mark.parametrize(
    "template", [Template(instructions="See {{i}}"), user([{"type": "input_image", "image_url": "{{i}}"}])]
)
def test_images_where_only_texts_can_stand(template: Template) -> None:
    with pytest.raises(InvalidRequest) as error:
        render(template, {"i": IMAGE})
    assert (error.value.param, error.value.code) == ("prompt.variables.i", "invalid_type")


def test_missing_and_unknown_variables() -> None:
    with pytest.raises(InvalidRequest) as error:
        render(user("{{a}} {{b}}"), {"a": "x"})
    assert (error.value.param, error.value.code) == ("prompt.variables.b", "missing_required_parameter")
    with pytest.raises(InvalidRequest) as error:
        render(user("{{a}}"), {"a": "x", "c": "y"})
    assert (error.value.param, error.value.code) == ("prompt.variables.c", "unknown_parameter")
