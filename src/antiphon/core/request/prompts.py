"""Prompt templates: text and items with `{{variable}}` placeholders → instructions and items. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.request.decoding import decode_items
from antiphon.core.request.validation import decode
from antiphon.errors import InvalidRequest
from antiphon.types.items import InputFile, InputImage, InputText, Item

Variable = str | InputText | InputImage | InputFile
Json = dict[str, Any]

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*\}\}")


class PromptRef(msgspec.Struct, frozen=True, kw_only=True):
    """A request's `prompt`: which template, and what goes into it."""

    id: str
    version: str | int | None = None
    variables: dict[str, Variable] | None = None


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """Instructions and items (as JSON objects), both with placeholders."""

    instructions: str | None = None
    items: Sequence[Json] = ()

    def placeholders(self) -> set[str]:
        """Return the names of all variables that it wants."""
        texts = [self.instructions or "", *_strings(list(self.items))]
        return {name for text in texts for name in _PLACEHOLDER.findall(text)}


class Rendered(msgspec.Struct, frozen=True):
    """A template whose placeholders are filled in."""

    instructions: str | None
    items: list[Item]


_prompt = msgspec.json.Decoder(PromptRef)


def decode_prompt(prompt: Raw) -> PromptRef:
    """Decode a request's `prompt`. Raises InvalidRequest."""
    return decode(_prompt, prompt, "prompt")


def render(template: Template, variables: Mapping[str, Variable]) -> Rendered:
    """Fill in the placeholders. Raises InvalidRequest (`param` `prompt.variables.NAME`) if one is missing or not known.

    What is filled in is not looked at again: a variable cannot bring placeholders with it.
    """
    wanted = template.placeholders()
    for name in sorted(wanted - variables.keys()):
        raise InvalidRequest(
            f"Missing prompt variable: '{name}'.", param=_param(name), code="missing_required_parameter"
        )
    for name in variables:
        if name not in wanted:
            raise InvalidRequest(f"Unknown prompt variable: '{name}'.", param=_param(name), code="unknown_parameter")
    instructions = None if template.instructions is None else _text(template.instructions, variables)
    items = [Raw(to_json(_item(item, variables))) for item in template.items]
    return Rendered(instructions, decode_items(items, "prompt.input"))


def _item(item: Json, variables: Mapping[str, Variable]) -> Json:
    kind = "output_text" if item.get("role") == "assistant" else "input_text"
    content = item.get("content")
    if isinstance(content, str) and _holds_media(content, variables):
        parts = list(_split(content, variables, kind))
    elif isinstance(content, list):
        parts = [part for given in content for part in _parts(given, variables)]
    else:
        return _object(item, variables)
    return {**_object({**item, "content": None}, variables), "content": parts}


def _parts(part: Any, variables: Mapping[str, Variable]) -> Iterator[Any]:
    """Yield what a content part becomes: several where its text holds images or files."""
    text = part.get("text") if isinstance(part, dict) else None
    if isinstance(text, str) and _holds_media(text, variables):
        yield from _split(text, variables, part.get("type", "input_text"))
    else:
        yield _filled(part, variables)


def _holds_media(text: str, variables: Mapping[str, Variable]) -> bool:
    return any(isinstance(variables[name], InputImage | InputFile) for name in _PLACEHOLDER.findall(text))


def _split(text: str, variables: Mapping[str, Variable], kind: str) -> Iterator[object]:
    """Cut a text at its images and files."""
    pieces = _PLACEHOLDER.split(text)  # text, name, text, name, …, text
    said = pieces[0]
    for name, following in zip(pieces[1::2], pieces[2::2], strict=True):
        variable = variables[name]
        if isinstance(variable, InputImage | InputFile):
            if said:
                yield {"type": kind, "text": said}
            yield variable
            said = following
        else:
            said += _said(variable) + following
    if said:
        yield {"type": kind, "text": said}


def _filled(value: Any, variables: Mapping[str, Variable]) -> Any:
    if isinstance(value, str):
        return _text(value, variables)
    if isinstance(value, list):
        return [_filled(entry, variables) for entry in value]
    return _object(value, variables) if isinstance(value, dict) else value


def _object(value: Json, variables: Mapping[str, Variable]) -> Json:
    return {key: _filled(entry, variables) for key, entry in value.items()}


def _text(text: str, variables: Mapping[str, Variable]) -> str:
    def value(found: re.Match[str]) -> str:
        variable = variables[found[1]]
        if isinstance(variable, InputImage | InputFile):
            raise InvalidRequest(
                f"Invalid prompt variable '{found[1]}': must be a string, as it stands inside a text.",
                param=_param(found[1]),
                code="invalid_type",
            )
        return _said(variable)

    return _PLACEHOLDER.sub(value, text)


def _said(variable: str | InputText) -> str:
    return variable if isinstance(variable, str) else variable.text


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for entry in value:
            yield from _strings(entry)
    elif isinstance(value, dict):
        yield from _strings(list(value.values()))


def _param(name: str) -> str:
    return f"prompt.variables.{name}"
