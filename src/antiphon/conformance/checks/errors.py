"""Errors: their status and their shape."""

from __future__ import annotations

from antiphon.conformance.base import Area, NotOffered
from antiphon.conformance.talk import CheckTalk, is_error

AREA = Area("errors")
SECTION = "API reference, Errors"


@AREA.check("no JSON", "a body that is no JSON is a 400 with an error object", SECTION)
async def _no_json(talk: CheckTalk) -> None:
    await talk.refused("POST", "/responses", b'{"model": ', statuses=(400, 422))


@AREA.check("wrong type", "a field of a wrong type is a 400 that names the field in `param`", SECTION)
async def _wrong_type(talk: CheckTalk) -> None:
    error = await talk.refused("POST", "/responses", {"model": talk.model, "input": "Hi", "max_output_tokens": "many"})
    talk.want("max_output_tokens" in str(error.get("param")), "error.param does not name the field")


@AREA.check("wrong item", "an item that is none is a 400 with an error object", SECTION)
async def _wrong_item(talk: CheckTalk) -> None:
    await talk.refused("POST", "/responses", {"model": talk.model, "input": [{"type": "no_such_item"}]})


@AREA.check("unknown model", "a model that does not exist is a 400 or 404, with the code model_not_found", SECTION)
async def _unknown_model(talk: CheckTalk) -> None:
    body = {"model": "no-such-model-here", "input": "Hi"}
    error = await talk.refused("POST", "/responses", body, statuses=(400, 404))
    talk.want("model" in f"{error.get('code')} {error.get('message')}", "the error does not say that it is the model")


@AREA.check("refused stream", "a bad request is an HTTP error with `stream: true`, too", SECTION)
async def _refused_stream(talk: CheckTalk) -> None:
    await talk.refused("POST", "/responses", {"model": talk.model, "input": [{"type": "no_such_item"}], "stream": True})


@AREA.check(
    "unknown response",
    "a response that does not exist is a 404 with an error object",
    "API reference, Responses, Get a response",
)
async def _unknown_response(talk: CheckTalk) -> None:
    missing = "resp_" + "0" * 48
    answer = await talk.send("GET", f"/responses/{missing}")
    if answer.status in (404, 405, 501) and not is_error(answer):
        raise NotOffered(f"GET /responses/{{id}}: {answer.status} without an error object")
    await talk.refused("GET", f"/responses/{missing}", {}, statuses=(404,))


@AREA.check("unknown path", "a path that does not exist is a 404 with an error object", SECTION)
async def _unknown_path(talk: CheckTalk) -> None:
    await talk.refused("POST", "/no/such/path", {}, statuses=(404,))
