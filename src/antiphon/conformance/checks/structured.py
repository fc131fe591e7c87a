"""Structured output."""

from __future__ import annotations

import jsonschema_rs

from antiphon.conformance.base import Area
from antiphon.conformance.checks.responses import created
from antiphon.conformance.checks.streaming import streamed
from antiphon.conformance.grammar import text_of
from antiphon.conformance.talk import CheckTalk
from antiphon.conformance.wire import Json, decoded

AREA = Area("structured output")
SECTION = "API guides, Structured outputs"
PERSON: Json = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
FORMAT: Json = {"type": "json_schema", "name": "person", "schema": PERSON, "strict": True}
ASKED = "Ada is 36 years old. Give her name and age as JSON."
VALID = jsonschema_rs.validator_for(PERSON)


@AREA.check("JSON Schema", "the answer follows the JSON Schema", SECTION)
async def _schema(talk: CheckTalk) -> None:
    response = await created(talk, input=ASKED, text={"format": FORMAT})
    talk.need(VALID.is_valid(decoded(text_of(response).encode())), "the answer does not follow the schema")
    echoed = (response.get("text") or {}).get("format") or {}
    talk.want(echoed.get("type") == "json_schema", "response.text.format is not the request's")


@AREA.check("JSON Schema, streamed", "a streamed answer follows the JSON Schema", SECTION)
async def _streamed_schema(talk: CheckTalk) -> None:
    _, final = await streamed(talk, input=ASKED, text={"format": FORMAT})
    talk.need(VALID.is_valid(decoded(text_of(final).encode())), "the answer does not follow the schema")


@AREA.check("JSON object", "with `json_object` the answer is a JSON object", f"{SECTION}, JSON mode")
async def _object(talk: CheckTalk) -> None:
    response = await created(talk, input=ASKED, text={"format": {"type": "json_object"}})
    talk.need(isinstance(decoded(text_of(response).encode()), dict), "the answer is no JSON object")


@AREA.check("bad schema", "a JSON Schema that is none is a 400", SECTION)
async def _bad(talk: CheckTalk) -> None:
    broken = {**FORMAT, "schema": {"type": "no-such-type"}}
    await talk.refused("POST", "/responses", {"model": talk.model, "input": ASKED, "text": {"format": broken}})
