"""Every field of every item, tool and request, with every hostile value: never a 500, one shape of errors, the field named.

A run takes one in `STRIDE` of them, another share for each field; `ANTIPHON_ALL_HOSTILE=1` takes them all (2 minutes).
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import NamedTuple

import pytest

from antiphon.runtime import unexpected_errors
from tests.hostile.samples import CHOICES, HOSTILE, Attack, attacks, items, request, tools
from tests.hostile.server import PROFILES, Answer, Local, local

pytestmark = pytest.mark.slow

STRIDE = 1 if os.environ.get("ANTIPHON_ALL_HOSTILE") else 5
MODELS = ("scripted", *PROFILES, "responses")
LONGEST_ANSWER = 20_000
FIELDS = {"message", "type", "param", "code", "status"}
ITEMS, TOOLS = items(), tools()


class Sent(NamedTuple):
    """One request. `model` is "" where none is called."""

    name: str
    path: str
    body: bytes
    model: str = ""


def _share(attacks: Iterable[Attack]) -> Iterator[Attack]:
    for number, attack in enumerate(attacks):
        if number % STRIDE == len(attack.name) % STRIDE:
            yield attack


def _items(template: bytes, path: str, *models: str) -> Callable[[], Iterator[Sent]]:
    return _each(template, path, (attack for name, one in ITEMS.items() for attack in attacks(name, one)), models)


def _each(
    template: bytes, path: str, all_of_them: Iterable[Attack], models: tuple[str, ...]
) -> Callable[[], Iterator[Sent]]:
    def send() -> Iterator[Sent]:
        for number, attack in enumerate(_share(all_of_them)):
            model = models[number % len(models)] if models else ""
            body = template.replace(b"MODEL", model.encode()).replace(b"ATTACK", attack.text)
            yield Sent(attack.name, path, body, model)

    return send


def _fields(path: str, sample: bytes, models: tuple[str, ...] = ("scripted",)) -> Callable[[], Iterator[Sent]]:
    return _each(b"ATTACK", path, attacks(path, json.loads(sample)), models)


_INPUT = b'"input":[{"role":"user","content":"hi"},ATTACK]'
_FUNCTION = b'"tools":[{"type":"function","name":"f"}]'

GROUPS: dict[str, Callable[[], Iterator[Sent]]] = {
    "items": _items(b'{"model":"MODEL",%b}' % _INPUT, "/v1/responses", *MODELS),
    "tools": _each(
        b'{"model":"MODEL","input":"hi","store":false,"tools":[ATTACK]}',
        "/v1/responses",
        (attack for name, tool in TOOLS.items() for attack in attacks(name, tool)),
        MODELS,
    ),
    "forced tools": _each(
        b'{"model":"MODEL","input":"hi","store":false,"tool_choice":"required","tools":[ATTACK]}',
        "/v1/responses",
        (attack for name, tool in TOOLS.items() for attack in attacks(name, tool)),
        MODELS,
    ),
    "choices": _each(
        b'{"model":"MODEL","input":"hi",%b,"tool_choice":ATTACK}' % _FUNCTION,
        "/v1/responses",
        (attack for name, choice in CHOICES.items() for attack in attacks(name, choice)),
        MODELS,
    ),
    "fields": _each(
        b"ATTACK", "/v1/responses", attacks("request", {"model": "scripted", "input": "hi", **request()}), ("scripted",)
    ),
    "fields on the way to a backend": _each(
        b"ATTACK", "/v1/responses", attacks("request", {"model": "vllm", "input": "hi", **request()}), ("vllm",)
    ),
    "compact": _items(b'{"model":"MODEL",%b}' % _INPUT, "/v1/responses/compact", "scripted"),
    "input_tokens": _items(b'{"model":"MODEL",%b}' % _INPUT, "/v1/responses/input_tokens", "scripted"),
    "fields of input_tokens": _each(
        b"ATTACK", "/v1/responses/input_tokens", attacks("request", {"input": "hi", **request()}), ("scripted",)
    ),
    "conversation": _items(b'{"items":[ATTACK]}', "/v1/conversations"),
    "conversation items": _items(b'{"items":[ATTACK]}', "/v1/conversations/CONVERSATION/items"),
    "fields of a conversation": _fields("/v1/conversations", b'{"metadata":{"a":"b"},"items":[]}'),
    "update of a conversation": _fields("/v1/conversations/CONVERSATION", b'{"metadata":{"a":"b"}}'),
    "chat completions": _fields(
        "/v1/chat/completions",
        b'{"model":"vllm","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;'
        b'base64,AAAA"}}]}],"max_tokens":5,"max_completion_tokens":5,"stream":false,"tools":[{"type":"function",'
        b'"function":{"name":"f"}}]}',
        ("vllm",),
    ),
}


def _fault(sent: Sent, answer: Answer) -> str:
    """Return what is wrong with an answer, "" if nothing is."""
    if answer.status in (502, 503) and sent.model not in ("", "scripted"):
        return ""  # nobody listens there: the request was made
    if answer.status < 400:
        return ""
    if answer.status == 502 and answer.json["error"]["code"] == "invalid_output":
        return ""  # the scripted backend follows no schema
    if answer.status >= 500:
        return f"status {answer.status}"
    if len(answer.body) > LONGEST_ANSWER:
        return f"an error of {len(answer.body)} bytes"
    body = answer.json
    if set(body) != {"error", "detail"} or set(body["error"]) != FIELDS:
        return "another shape of errors"
    if answer.status == 400 and not body["error"]["param"] and not _names_nothing(sent):
        return "no param"
    return ""


def _names_nothing(sent: Sent) -> bool:
    """Tell whether what is wrong is a field's own name, at the top."""
    return sent.name.endswith("renamed")


async def _strike(server: Local, sent: Iterable[Sent]) -> tuple[int, list[str]]:
    made = await server.post("/v1/conversations")
    conversation = made.json["id"]
    found, tried = [], count()
    for one in sent:
        next(tried)
        answer = await server.send("POST", one.path.replace("CONVERSATION", conversation), one.body)
        fault = _fault(one, answer)
        if fault:
            found.append(f"{one.name} ({one.model}): {fault}: {answer.body[:200]!r}")
    return next(tried), found


@pytest.mark.parametrize("group", GROUPS)
def test_no_value_anywhere_is_a_500(group: str) -> None:
    async def run() -> tuple[int, list[str]]:
        async with local() as server:
            return await _strike(server, GROUPS[group]())

    before = sum(unexpected_errors.counts().values())
    tried, found = asyncio.run(run())
    assert tried > 10
    assert not found, f"{len(found)} of {tried}:\n" + "\n".join(found[:10])
    assert sum(unexpected_errors.counts().values()) == before  # none behind a status of 200 either


QUERIES = (
    "limit", "order", "after", "before", "starting_after", "stream", "include", "include[]", "purpose",
)  # fmt: skip
QUERY_VALUES = (
    "", "x", "-1", "0", "5", "101", "%00", "%ff", "%ed%a0%80", "9" * 5000, "-" + "9" * 5000, "1" + "0" * 30, "1e5", "%C2%B2",
    "%D9%A3", "+5", "5%20", "true", "asc", "x" * 50_000,
)  # fmt: skip


def test_no_query_is_a_500() -> None:
    async def run() -> list[str]:
        found = []
        async with local() as server:
            made = (await server.post("/v1/responses", model="scripted", input="hi", background=True)).json["id"]
            conversation = (await server.post("/v1/conversations")).json["id"]
            paths = (
                f"/v1/responses/{made}/input_items", f"/v1/conversations/{conversation}/items", "/v1/files", "/v1/models",
                f"/v1/responses/{made}?stream=true", f"/v1/responses/{made}", "/admin/responses",
            )  # fmt: skip
            for path in paths:
                for name in QUERIES:
                    for value in QUERY_VALUES:
                        join = "&" if "?" in path else "?"
                        target = f"{path}{join}{name}={value}"
                        answer = await server.send("GET", target)
                        fault = _fault(Sent(target, path, b""), answer)
                        if fault:
                            found.append(f"{target[:150]}: {fault}")
        return found

    assert not asyncio.run(run())


IDS = (
    "x",
    "%00",
    "%ff",
    "resp_" + "f" * 4000,
    "%2e%2e%2f",
    "conv_%F0%9F%92%A9",
    "9" * 5000,
    "resp_%ED%A0%80",
    "'",
    '"',
)


@pytest.mark.parametrize("id", IDS, ids=lambda id: id[:12])
def test_no_id_is_a_500(id: str) -> None:
    async def run() -> list[str]:
        found = []
        async with local() as server:
            for method, path in (
                ("GET", "/v1/responses/{}"), ("DELETE", "/v1/responses/{}"), ("POST", "/v1/responses/{}/cancel"),
                ("GET", "/v1/responses/{}/input_items"), ("GET", "/v1/conversations/{}"), ("GET", "/v1/files/{}"),
                ("DELETE", "/v1/conversations/{}"), ("GET", "/v1/conversations/{}/items"), ("GET", "/v1/models/{}"),
                ("GET", "/v1/conversations/{}/items/{}"), ("GET", "/v1/files/{}/content"), ("DELETE", "/v1/files/{}"),
            ):  # fmt: skip
                target = path.replace("{}", id)
                answer = await server.send(method, target)
                if answer.status >= 500 or set(answer.json) != {"error", "detail"}:
                    found.append(f"{method} {target[:100]}: {answer.status}")
        return found

    assert not asyncio.run(run())


FORM = (
    b'--x\r\nContent-Disposition: form-data; name="NAME"; filename="FILE"\r\nContent-Type: TYPE\r\n\r\nVALUE\r\n'
    b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nPURPOSE\r\n'
    b'--x\r\nContent-Disposition: form-data; name="expires_after[seconds]"\r\n\r\nSECONDS\r\n'
    b'--x\r\nContent-Disposition: form-data; name="expires_after[anchor]"\r\n\r\nANCHOR\r\n--x--\r\n'
)
GOOD = {
    b"NAME": b"file", b"FILE": b"a.txt", b"TYPE": b"text/plain", b"VALUE": b"hi", b"PURPOSE": b"user_data",
    b"SECONDS": b"3600", b"ANCHOR": b"created_at",
}  # fmt: skip


def test_no_form_is_a_500() -> None:
    async def run() -> list[str]:
        found = []
        async with local() as server:
            for field in GOOD:
                for name, value in {**HOSTILE, "bytes": bytes(range(256)), "digits": "\u0663".encode()}.items():
                    body = FORM
                    for key, good in GOOD.items():
                        body = body.replace(key, value if key == field else good)
                    answer = await server.send(
                        "POST", "/v1/files", body, {"content-type": "multipart/form-data; boundary=x"}
                    )
                    if answer.status >= 500:
                        found.append(f"{field!r} {name}: {answer.status}")
                    elif answer.status == 200:
                        file = answer.json["id"]
                        for path in (f"/v1/files/{file}", f"/v1/files/{file}/content"):
                            if (await server.send("GET", path)).status >= 500:
                                found.append(f"{field!r} {name}: {path}")
        return found

    assert not asyncio.run(run())


def test_the_hostile_values_are_what_they_say() -> None:
    assert len(HOSTILE) > 30
    assert len(ITEMS) > 50
    assert len(TOOLS) > 20
    assert sum(1 for name, item in ITEMS.items() for _ in attacks(name, item)) > 15_000
