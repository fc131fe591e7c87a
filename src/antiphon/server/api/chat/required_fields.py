"""Fields that OpenAI's document requires of a whole chat completion: null where a server leaves them out."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json

Fields = dict[str, Raw]

OF_CHOICE = {"logprobs": Raw(b"null")}
OF_MESSAGE = {"content": Raw(b"null"), "refusal": Raw(b"null")}

_fields = msgspec.json.Decoder(Fields)
_choices = msgspec.json.Decoder(list[Fields])


def with_required(body: bytes) -> bytes:
    """Return a completion with these fields in each of its choices; what is no completion as it came."""
    if b'"refusal"' in body:
        return body  # its server knows the document
    try:
        fields = _fields.decode(body)
        choices = _choices.decode(fields["choices"])
        whole = [{**OF_CHOICE, **choice, "message": _message(choice["message"])} for choice in choices]
    except (ValueError, KeyError, RecursionError):
        return body
    return to_json({**fields, "choices": whole})


def _message(message: Raw) -> Raw:
    return Raw(to_json({**OF_MESSAGE, **_fields.decode(message)}))
