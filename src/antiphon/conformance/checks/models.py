"""Models: listed, read."""

from __future__ import annotations

from urllib.parse import quote

from antiphon.conformance.base import Area
from antiphon.conformance.shapes import MODEL, MODELS
from antiphon.conformance.talk import CheckTalk

AREA = Area("models")


@AREA.check("list", "GET /models lists at least one model", "API reference, Models, List models", optional=False)
async def _list(talk: CheckTalk) -> None:
    listed = talk.fits(await talk.ok("GET", "/models"), MODELS, "list")
    talk.need(listed["data"], "no model is listed")
    for model in listed["data"][:20]:
        talk.fits(model, MODEL, "model")


@AREA.check("read", "GET /models/{id} gives the model that is asked", "API reference, Models, Retrieve model")
async def _read(talk: CheckTalk) -> None:
    model = talk.fits(await talk.ok("GET", f"/models/{quote(talk.model, safe='')}"), MODEL, "model")
    talk.need(model["id"] == talk.model, "another model comes")


@AREA.check("unknown model", "a model that does not exist is a 404 with an error", "API reference, Errors")
async def _unknown(talk: CheckTalk) -> None:
    await talk.ok("GET", f"/models/{quote(talk.model, safe='')}")
    await talk.refused("GET", "/models/no-such-model-here", {}, statuses=(404,))
