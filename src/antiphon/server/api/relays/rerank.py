"""`/v1/rerank`: one request and one answer, in the dialects of Cohere, Jina, vLLM, llama.cpp, Voyage and TEI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.relayed_request import RelayedForm
from antiphon.core.request.validation import decode, missing
from antiphon.errors import InvalidRequest
from antiphon.server.api.relays.asked import AskedRelay, fields_writer
from antiphon.server.api.relays.passing import ReadAnswer, wrong_answer
from antiphon.types.raw import OptionalRaw

MOST_DOCUMENTS = 2048
"""Documents of a request."""

OURS = frozenset(("model", "query", "documents", "texts", "top_n", "top_k", "return_documents", "return_text"))
"""Fields that each dialect has under a name of its own, or that this server keeps to itself; others are passed on."""


class RerankDialect(msgspec.Struct, frozen=True, kw_only=True):
    """How a kind of server spells a request. `not_taken`: words with which it refuses this spelling."""

    documents: str = "documents"
    most: str = "top_n"
    texts_only: bool = False
    from_root: bool = False
    not_taken: tuple[str, ...] = ()
    own: Mapping[str, Raw] = {}


DIALECTS = (
    RerankDialect(not_taken=("`texts`", "top_n")),  # Cohere, Jina, vLLM, SGLang, llama.cpp, LiteLLM, Infinity, Together
    RerankDialect(most="top_k", not_taken=("`texts`",)),  # Voyage
    RerankDialect(from_root=True, not_taken=("`texts`",)),  # the same below /, where the base URL ends with /v1
    RerankDialect(documents="texts", most="", texts_only=True, from_root=True, own={"truncate": Raw(b"true")}),  # TEI
)
"""In the order in which a server is tried; the one that it takes is remembered."""


class RerankWishes(msgspec.Struct, frozen=True):
    """What a request says. TEI's clients say `texts` for `documents`, Voyage's `top_k` for `top_n`."""

    query: OptionalRaw = None
    documents: list[Any] | None = None
    texts: list[Any] | None = None
    top_n: Annotated[int, Meta(ge=1)] | None = None
    top_k: Annotated[int, Meta(ge=1)] | None = None
    return_documents: bool | None = None


class _Ranked(msgspec.Struct):
    index: int
    relevance_score: float | None = None
    score: float | None = None


class _RerankCounts(msgspec.Struct):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Ranking(msgspec.Struct):
    results: list[_Ranked] | None = None
    data: list[_Ranked] | None = None
    id: str | None = None
    meta: OptionalRaw = None
    usage: _RerankCounts | None = None


_wishes_of = msgspec.json.Decoder(RerankWishes)
_ranking = msgspec.json.Decoder(_Ranking | list[_Ranked])


class Rerank:
    """The route's shape."""

    def check(self, asked: AskedRelay) -> None:
        """Refuse what no backend would take. Raises InvalidRequest."""
        asked.require_text("query", "object")
        _documents(_wishes(asked))

    def forms(self, asked: AskedRelay) -> Sequence[RelayedForm]:
        """Return the request in all dialects."""
        return [_form(dialect, asked) for dialect in DIALECTS]

    def answer(self, asked: AskedRelay, model: str, read: ReadAnswer, *, shorten: bool = False) -> bytes:
        """Return the ranking, the best first, as Cohere and Jina have it. Raises BackendError."""
        wishes = _wishes(asked)
        documents = _documents(wishes)
        try:
            found = _ranking.decode(read.skeleton)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise wrong_answer("has no ranking") from None
        ranking = _Ranking(results=found) if isinstance(found, list) else found
        scores = _scores(ranking.results if ranking.results is not None else ranking.data, len(documents))
        best = sorted(scores, key=lambda index: -scores[index])[: _most(wishes)]
        whole = wishes.return_documents is not False
        results = [
            {
                "index": index,
                "relevance_score": scores[index],
                **({"document": _shown(documents[index])} if whole else {}),
            }
            for index in best
        ]
        counts = ranking.usage or _RerankCounts()
        total = counts.total_tokens or counts.prompt_tokens or 0
        answer: dict[str, Any] = {"object": "list", "model": model, "results": results}
        answer["usage"] = {"prompt_tokens": counts.prompt_tokens or total, "total_tokens": total}
        if ranking.id:
            answer = {"id": ranking.id, **answer}
        return to_json(answer if ranking.meta is None else {**answer, "meta": ranking.meta})


def _wishes(asked: AskedRelay) -> RerankWishes:
    named = {name: asked.fields[name] for name in RerankWishes.__struct_fields__ if asked.has(name)}
    return decode(_wishes_of, to_json(named))


def _most(wishes: RerankWishes) -> int | None:
    return wishes.top_n if wishes.top_n is not None else wishes.top_k


def _documents(wishes: RerankWishes) -> list[Any]:
    """Return the documents: texts or objects. Raises InvalidRequest."""
    name = "texts" if wishes.documents is None and wishes.texts is not None else "documents"
    documents = wishes.documents if wishes.documents is not None else wishes.texts
    if documents is None:
        raise missing("documents")
    if not 1 <= len(documents) <= MOST_DOCUMENTS:
        what = f"{len(documents)} entries; 1 to {MOST_DOCUMENTS} are allowed"
        raise InvalidRequest(f"'{name}' has {what}.", param=name)
    wrong = next((index for index, one in enumerate(documents) if not isinstance(one, str | dict)), None)
    if wrong is not None:
        raise InvalidRequest(
            f"'{name}[{wrong}]' must be a text or an object.", param=f"{name}[{wrong}]", code="invalid_type"
        )
    return documents


def _form(dialect: RerankDialect, asked: AskedRelay) -> RelayedForm:
    def write(model: str, extra: Mapping[str, Raw]) -> bytes:
        wishes = _wishes(asked)
        documents = _documents(wishes)
        most = _most(wishes)
        fields = {name: value for name, value in asked.fields.items() if name not in OURS}
        fields |= {"query": asked.fields["query"], **dialect.own}
        fields[dialect.documents] = Raw(to_json([_text(one) for one in documents] if dialect.texts_only else documents))
        if dialect.most and most is not None:
            fields[dialect.most] = Raw(to_json(min(most, len(documents))))
        return fields_writer(fields)(model, extra)

    return RelayedForm(endpoint="/rerank", write=write, from_root=dialect.from_root, not_taken=dialect.not_taken)


def _text(document: Any) -> str:
    text = document.get("text") if isinstance(document, dict) else document
    if not isinstance(text, str):
        raise InvalidRequest("The model's backend takes documents that are texts only.", param="documents")
    return text


def _shown(document: Any) -> Any:
    return {"text": document} if isinstance(document, str) else document


def _scores(ranked: Sequence[_Ranked] | None, count: int) -> dict[int, float]:
    """Return the scores by index. Raises BackendError for what is no ranking of so many documents."""
    if ranked is None:
        raise wrong_answer("has no ranking")
    scores: dict[int, float] = {}
    for one in ranked:
        score = one.relevance_score if one.relevance_score is not None else one.score
        if score is None or not isfinite(score) or not 0 <= one.index < count or one.index in scores:
            raise wrong_answer(f"is no ranking of {count} documents")
        scores[one.index] = score
    return scores
