"""Settings that a conversation changes on its way."""

import json

import pytest
from msgspec import Raw

from antiphon.core.context import input_items
from antiphon.core.request.configuration_updates import updated
from antiphon.core.request.text_format import PLAIN, ResolvedText
from antiphon.errors import InvalidRequest
from antiphon.types.request import CreateResponse, ReasoningConfig

REQUEST = CreateResponse(model="m", reasoning=ReasoningConfig(effort="low", summary="auto"))
SCHEMA = {"type": "json_schema", "name": "x", "schema": {"type": "object"}}


def items(*updates):
    return input_items([Raw(json.dumps({"type": "configuration_update", **update}).encode()) for update in updates])


def test_the_last_update_of_each_setting_counts():
    given = items({"reasoning": {"effort": "high"}}, {"text": {"format": SCHEMA}}, {"reasoning": {"effort": "none"}})
    request, text = updated(REQUEST, ResolvedText(PLAIN.format, "low"), given)
    assert request.reasoning == ReasoningConfig(effort="none", summary="auto")
    assert (text.format.type, text.verbosity) == ("json_schema", "low")
    _, text = updated(REQUEST, PLAIN, [*given, *items({"text": {"format": {"type": "text"}}})])
    assert text == PLAIN


def test_without_updates_all_stays():
    assert updated(REQUEST, PLAIN, input_items("Hi")) == (REQUEST, PLAIN)


def test_a_wrong_update_is_refused():
    with pytest.raises(InvalidRequest):
        updated(REQUEST, PLAIN, items({"reasoning": {"effort": 3}}))
