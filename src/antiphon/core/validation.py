"""Decoding that answers with a 400 naming the field: bytes → structs, or InvalidRequest with `param` in OpenAI's spelling."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec
from msgspec import Raw

from antiphon.errors import InvalidRequest

T = TypeVar("T")

_PATH = re.compile(r" - at `(?:key in )?\$(?P<path>.*)`$")
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]+)`")
_WRONG_TYPE = re.compile(r"Expected `[^`]+`(?:, got|$)|Expected `[^`]+`.*got `")


def decode(decoder: msgspec.json.Decoder[T], data: bytes | Raw, path: str = "") -> T:
    """Decode, or raise InvalidRequest. `path` is where the data stands in the body, such as `input[2]`."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise invalid(str(error), path) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(error) from None
    except RecursionError:
        raise InvalidRequest("The JSON is nested too deeply.", param=path, code="invalid_json") from None


def malformed(error: Exception) -> InvalidRequest:
    """Return the 400 for bytes that are not JSON."""
    if isinstance(error, UnicodeDecodeError):
        return InvalidRequest("The request body is not valid UTF-8.", code="invalid_json")
    return InvalidRequest(f"The request body is not valid JSON: {error}.", code="invalid_json")


def invalid(message: str, path: str = "") -> InvalidRequest:
    """Turn msgspec's words into a 400: `param` from its path, `code` from the kind of fault."""
    found = _PATH.search(message)
    reason = message[: found.start()] if found else message
    param = join(path, found["path"] if found else "")
    missing = _MISSING.match(reason)
    if missing:
        param = join(param, "." + missing["field"])
        return InvalidRequest(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")
    wrong_type = reason.startswith("Expected") and "got `" in reason and "`, got `" in reason
    code = "invalid_type" if wrong_type else "invalid_value"
    where = f" for '{param}'" if param else ""
    return InvalidRequest(f"Invalid value{where}: {_lower_first(reason)}.", param=param, code=code)


def join(path: str, rest: str) -> str:
    """Join two parts of a JSON path: `input[2]` + `.content` → `input[2].content`; unnamed keys (`[...]`) are left out."""
    rest = rest.replace("[...]", "")
    return f"{path}{rest}".lstrip(".")


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
