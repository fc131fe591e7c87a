"""Decoding that answers with a 400 naming the field: bytes → structs, or InvalidRequest with `param` in OpenAI's spelling.

Whatever a client sends is decoded by one of the functions here: they know all errors that decoders raise.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from antiphon.core.request.json_text import offset_of
from antiphon.errors import InvalidRequest

T = TypeVar("T")

LONGEST_REASON = 300
"""Characters that an error has of the decoder's words; wrong values stand in them as they came."""

_OFFSET = re.compile(r"\(byte (\d{1,12})\)")
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]+)`")


_anything = msgspec.json.Decoder(Any)
_fields = msgspec.json.Decoder(dict[str, Raw])


def decode(decoder: msgspec.json.Decoder[T], data: bytes | str | Raw, path: str = "") -> T:
    """Decode, or raise InvalidRequest. `path` is where the data stands in the body, such as `input[2]`."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise invalid(str(error), path) from None
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        raise malformed(error, path, data) from None
    except RecursionError:
        raise too_deep(path) from None


def decode_any(data: bytes | str | Raw, path: str = "") -> Any:
    """Decode JSON of any shape. Raises InvalidRequest, also for a number of more digits than Python reads (4,300)."""
    return decode(_anything, data, path)


def decode_fields(data: bytes | str | Raw, path: str = "") -> dict[str, Raw]:
    """Decode an object no deeper than its own fields. Raises InvalidRequest."""
    return decode(_fields, data, path)


def malformed(error: Exception, path: str = "", data: bytes | str | Raw = b"") -> InvalidRequest:
    """Return the 400 for bytes that are not JSON; `param` is the field that is cut off or broken, as far as it can be told."""
    if not path and isinstance(data, bytes):
        found = _OFFSET.search(str(error))
        path = offset_of(data, int(found[1])) if found else offset_of(data) if data else ""
    if isinstance(error, UnicodeDecodeError):
        return InvalidRequest("The request body is not valid UTF-8.", param=path, code="invalid_json")
    return InvalidRequest(f"The request body is not valid JSON: {_short(error)}.", param=path, code="invalid_json")


def _short(error: Exception) -> str:
    return str(error)[:200].rstrip(".")


def too_deep(path: str = "") -> InvalidRequest:
    """Return the 400 for JSON that is nested beyond reason."""
    return InvalidRequest("The JSON is nested too deeply.", param=path, code="invalid_json")


def missing(param: str) -> InvalidRequest:
    """Return the 400 for a field that is not there."""
    return InvalidRequest(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def invalid(message: str, path: str = "") -> InvalidRequest:
    """Turn msgspec's words into a 400: `param` from its path, `code` from the kind of fault."""
    at = message.rfind(" - at ")
    pointer = message[at + 6 :].removeprefix("`key` in ") if at >= 0 else ""
    if not (pointer.startswith("`$") and pointer.endswith("`")):
        at, pointer = len(message), "`$`"
    reason = (
        message[:at] if at <= LONGEST_REASON else f"{message[:LONGEST_REASON]} …"
    )  # it may name a value of megabytes
    param = join(path, pointer[2:-1])
    absent = _MISSING.match(reason)
    if absent:
        return missing(join(param, "." + absent["field"]))
    wrong_type = reason.startswith("Expected") and "`, got `" in reason
    where = f" for '{param}'" if param else ""
    return InvalidRequest(
        f"Invalid value{where}: {_lower_first(reason)}.",
        param=param,
        code="invalid_type" if wrong_type else "invalid_value",
    )


def join(path: str, rest: str) -> str:
    """Join two parts of a JSON path: `input[2]` + `.content` → `input[2].content`; unnamed keys (`[...]`) are left out."""
    rest = rest.replace("[...]", "")
    return f"{path}{rest}".lstrip(".")


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
