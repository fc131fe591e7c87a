"""Embeddings, moderations."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64

from antiphon.conformance.base import Area
from antiphon.conformance.shapes import EMBEDDING, EMBEDDINGS, MODERATION, VERDICT
from antiphon.conformance.talk import CheckTalk
from antiphon.conformance.wire import Json

EMBEDDINGS_AREA = Area("embeddings")
MODERATIONS_AREA = Area("moderations")
SECTION = "API reference, Embeddings"
VERDICTS = "API reference, Moderations"
TEXTS = ["The garden has apple trees.", "The key hangs behind the door."]


async def embedded(talk: CheckTalk, **fields: object) -> list[Json]:
    """Embed two texts. Raises NonConforming, NotOffered."""
    body = {"model": talk.target.embedding_model or talk.model, "input": TEXTS, **fields}
    made = talk.fits(await talk.ok("POST", "/embeddings", body), EMBEDDINGS, "embeddings")
    found = [talk.fits(one, EMBEDDING, "embedding") for one in made["data"]]
    talk.need([one["index"] for one in found] == [0, 1], "there is not one embedding for each text, in order")
    return found


@EMBEDDINGS_AREA.check("vectors", "each text has a vector, all of one length", SECTION)
async def _vectors(talk: CheckTalk) -> None:
    vectors = [one.get("embedding") for one in await embedded(talk)]
    for vector in vectors:
        talk.need(isinstance(vector, list) and vector, "embedding is no list")
        talk.need(all(isinstance(number, int | float) for number in vector or ()), "a vector has what is no number")
    talk.need(len(vectors[0]) == len(vectors[1]), "the vectors are not of one length")  # type: ignore[arg-type]  # `need` above: lists
    talk.need(vectors[0] != vectors[1], "two texts have one vector")


@EMBEDDINGS_AREA.check("base64", "with `encoding_format: base64` a vector is the bytes of its numbers", SECTION)
async def _base64(talk: CheckTalk) -> None:
    plain = (await embedded(talk, encoding_format="float"))[0].get("embedding")
    packed = (await embedded(talk, encoding_format="base64"))[0].get("embedding")
    talk.need(isinstance(packed, str), "embedding is no text")
    try:
        size = len(b64decode(str(packed), validate=True))
    except (NotBase64, ValueError):
        size = 0
    talk.need(isinstance(plain, list) and size == 4 * len(plain), "the bytes are not those of the same numbers")


@EMBEDDINGS_AREA.check("bad request", "an input that is none is a 400 with an error object", "API reference, Errors")
async def _bad(talk: CheckTalk) -> None:
    await embedded(talk)
    body = {"model": talk.target.embedding_model or talk.model, "input": {"a": 1}}
    await talk.refused("POST", "/embeddings", body, statuses=(400, 422))


@MODERATIONS_AREA.check("verdicts", "each text has a verdict, with a score for each category", VERDICTS)
async def _verdicts(talk: CheckTalk) -> None:
    named = {"model": talk.target.moderation_model} if talk.target.moderation_model else {}
    made = talk.fits(await talk.ok("POST", "/moderations", {"input": TEXTS, **named}), MODERATION, "moderation")
    talk.need(len(made["results"]) == len(TEXTS), f"{len(made['results'])} verdicts for {len(TEXTS)} texts")
    for one in made["results"]:
        verdict = talk.fits(one, VERDICT, "verdict")
        talk.need(verdict["categories"].keys() == verdict["category_scores"].keys(), "not each category has a score")
        flagged = any(value is True for value in verdict["categories"].values())
        talk.want(verdict["flagged"] is flagged, "`flagged` is not what the categories say")
