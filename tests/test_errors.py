"""The exception tree: complete, as it is drawn; and how stores' refusals differ from their failures."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module

import pytest

from antiphon import errors
from antiphon.stores.base import FenceError
from tests.test_exports import MODULES


def _defined() -> Iterator[type[BaseException]]:
    for module in MODULES:
        for value in vars(import_module(module)).values():
            kind = inspect.isclass(value) and issubclass(value, BaseException) and value.__module__ == module
            if kind and not value.__name__.startswith("_"):  # those do not leave their module
                yield value


def test_every_exception_of_the_package_has_one_root() -> None:
    assert not [kind.__name__ for kind in _defined() if not issubclass(kind, errors.AntiphonError)]


def test_the_drawn_tree_names_every_exception() -> None:
    assert errors.__doc__ is not None
    drawn = set(re.findall(r"\w+", errors.__doc__))
    assert not {kind.__name__ for kind in _defined()} - drawn
    for name in re.findall(r"─ (\w+)", errors.__doc__):
        assert name == "what" or name in {kind.__name__ for kind in _defined()}


@pytest.mark.parametrize("kind", [errors.StoreConflict, errors.StoreUnknown, FenceError])
def test_what_a_store_refuses_is_no_key_error_of_a_bug(kind: type[Exception]) -> None:
    assert issubclass(kind, errors.StoreError)
    assert not issubclass(kind, LookupError | ValueError | errors.APIError)


def test_a_field_is_named_in_the_message_too() -> None:
    error = errors.InvalidRequest("Invalid 'input[2]': no input.", param="input[2]", code="c")
    named = errors.spelled(error, lambda name: name.replace("input[2]", "messages.1"))
    assert (named.param, named.message, named.code, named.status) == (
        "messages.1",
        "Invalid 'messages.1': no input.",
        "c",
        400,
    )
    assert error.param == "input[2]", "an error may be shared"
    assert errors.spelled(error, None) is error
    assert errors.spelled(errors.APIError(503, "x"), str.upper).param == ""
