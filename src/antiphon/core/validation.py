"""Decoding that answers with a 400 naming the field: bytes → structs, or InvalidRequest with `param` in OpenAI's spelling."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec
from msgspec import Raw

from antiphon.errors import InvalidRequest

T = TypeVar("T")

_PATH = re.compile(r" - at (?:`key` in )?`\$(?P<path>.*)`$", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]+)`")


def decode(decoder: msgspec.json.Decoder[T], data: bytes | Raw, path: str = "") -> T:
    """Decode, or raise InvalidRequest. `path` is where the data stands in the body, such as `input[2]`."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise invalid(str(error), path) from None
    except (msgspec.DecodeError, ValueError) as error:
        raise malformed(error) from None
    except RecursionError:
        raise too_deep(path) from None


def malformed(error: Exception) -> InvalidRequest:
    """Return the 400 for bytes that are not JSON."""
    if isinstance(error, UnicodeDecodeError):
        return InvalidRequest("The request body is not valid UTF-8.", code="invalid_json")
    return InvalidRequest(f"The request body is not valid JSON: {error}.", code="invalid_json")


def too_deep(path: str = "") -> InvalidRequest:
    """Return the 400 for JSON that is nested beyond reason."""
    return InvalidRequest("The JSON is nested too deeply.", param=path, code="invalid_json")


def missing(param: str) -> InvalidRequest:
    """Return the 400 for a field that is not there."""
    return InvalidRequest(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def invalid(message: str, path: str = "") -> InvalidRequest:
    """Turn msgspec's words into a 400: `param` from its path, `code` from the kind of fault."""
    found = _PATH.search(message)
    reason = message[: found.start()] if found else message
    param = join(path, found["path"] if found else "")
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
