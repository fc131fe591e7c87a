"""openai-python: conversations, item references, compaction of every kind, token counts, prompt reuse of items."""

from __future__ import annotations

from typing import Any

import openai
from openai import OpenAI

from tests.clients.lib import API_KEY, BASE_URL, MODEL, has, play, same, scenario

client = OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
create: Any = client.responses.create
LOOK: Any = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}, "strict": False}


def user(text: str) -> Any:
    return {"type": "message", "role": "user", "content": text}


def conversations() -> None:
    made = client.conversations.create(metadata={"a": "b"}, items=[user("NOTE pet=cat")])
    assert made.id.startswith("conv_") and made.created_at
    same(client.conversations.update(made.id, metadata={"c": "d"}).metadata, {"c": "d"})
    r = create(
        model=MODEL,
        conversation=made.id,
        tools=[LOOK],
        input=play("x", {"think": "HM", "call": [["look", {}]]}, {"say": "{{tool.0}} {{note.pet}} {{thoughts}}"}),
    )
    call = next(item for item in r.output if item.type == "function_call")
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "seen"}
    r = create(model=MODEL, conversation={"id": made.id}, tools=[LOOK], input=[output], stream=True)
    same(list(r)[-1].response.output_text, "seen cat HM")
    items = list(client.conversations.items.list(made.id, order="asc", limit=2))
    same(
        [item.type for item in items],
        ["message", "message", "reasoning", "function_call", "function_call_output", "message"],
    )
    added = client.conversations.items.create(made.id, items=[user(f"NOTE n{n}={n}") for n in range(20)])
    same((len(added.data), added.has_more, added.first_id), (20, False, added.data[0].id))
    try:
        client.conversations.items.create(made.id, items=[user("x")] * 21)
        raise AssertionError("21 items at once")
    except openai.BadRequestError:
        pass
    same(client.conversations.items.retrieve(added.data[3].id, conversation_id=made.id).id, added.data[3].id)
    client.conversations.items.delete(added.data[19].id, conversation_id=made.id)
    same(
        create(model=MODEL, conversation=made.id, input=play("?", {"say": "{{note.n18}} {{note.n19}}"})).output_text,
        "18 FORGOTTEN",
    )
    unstored = create(model=MODEL, conversation=made.id, store=False, input=play("NOTE k=v", {"say": "ok"}))
    same(unstored.conversation.id, made.id)
    same(
        create(
            model=MODEL, conversation=made.id, background=True, stream=True, input=play("?", {"say": "{{note.k}}"})
        ).__class__.__name__,
        "Stream",
    )
    failed = play("x", {"error": {"status": 400, "message": "no"}})
    before = len(list(client.conversations.items.list(made.id)))
    try:
        create(model=MODEL, conversation=made.id, input=failed)
        raise AssertionError("no error")
    except openai.BadRequestError:
        pass
    assert len(list(client.conversations.items.list(made.id))) >= before
    assert client.conversations.delete(made.id).deleted
    for gone in (
        lambda: client.conversations.retrieve(made.id),
        lambda: create(model=MODEL, conversation=made.id, input="x"),
    ):
        try:
            gone()
            raise AssertionError("still there")
        except openai.NotFoundError:
            pass


def references() -> None:
    r = create(model=MODEL, tools=[LOOK], input=play("x", {"think": "HM", "say": "Hm.", "call": [["look", {}]]}))
    call = r.output[-1]
    back = [{"type": "item_reference", "id": item.id} for item in r.output]
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "seen"}
    again = create(
        model=MODEL,
        tools=[LOOK],
        input=[
            user(play("y", {"say": "no"}, {"call": [["look", {}]]}, {"say": "{{tool.0}} {{thoughts}}"})),
            *back,
            output,
        ],
    )
    same(again.output_text, "seen HM")
    try:
        create(model=MODEL, input=[{"type": "item_reference", "id": "msg_none"}, user("x")])
        raise AssertionError("an unknown reference")
    except (openai.NotFoundError, openai.BadRequestError):
        pass


def compaction() -> None:
    talk = [
        user("NOTE pet=cat"),
        {"role": "assistant", "content": "fine"},
        user("NOTE tree=oak"),
        {"role": "assistant", "content": "good"},
    ]
    done = client.responses.compact(model=MODEL, input=talk, instructions="SHORT")  # type: ignore[arg-type]
    same((done.object, done.output[-1].type), ("response.compaction", "compaction"))
    window = [item.to_dict() for item in done.output]
    r = create(model=MODEL, store=False, input=[*window, user(play("?", {"say": "{{note.pet}} {{note.tree}}"}))])
    same(r.output_text, "cat oak")
    twice = client.responses.compact(model=MODEL, input=[*window, user("NOTE sea=red")])  # type: ignore[list-item]
    r = create(
        model=MODEL, input=[*[i.to_dict() for i in twice.output], user(play("?", {"say": "{{note.pet}} {{note.sea}}"}))]
    )
    same(r.output_text, "cat red")
    by_id = client.responses.compact(model=MODEL, previous_response_id=r.id)
    r = create(model=MODEL, input=[*[i.to_dict() for i in by_id.output], user(play("?", {"say": "{{note.pet}}"}))])
    same(r.output_text, "cat")
    triggered = create(model=MODEL, input=[*talk, {"type": "compaction_trigger"}], store=False)
    same([item.type for item in triggered.output], ["compaction"])
    r = create(
        model=MODEL, store=False, input=[triggered.output[0].to_dict(), user(play("?", {"say": "{{note.pet}}"}))]
    )
    same(r.output_text, "cat")
    rules = [{"type": "compaction", "compact_threshold": 1000}]
    long = [
        user("NOTE sky=blue " + "blah " * 3000),
        {"role": "assistant", "content": "ok"},
        user(play("?", {"say": "{{note.sky}}"})),
    ]
    for stream in (False, True):
        r = create(model=MODEL, input=long, context_management=rules, stream=stream)
        if stream:
            r = list(r)[-1].response
        same(([item.type for item in r.output], r.output_text), (["compaction", "message"], "blue"))
        after = create(model=MODEL, previous_response_id=r.id, input=play("?", {"say": "{{note.sky}} {{users}}"}))
        has(after.output_text, "blue")
        small = create(model=MODEL, input="hi", context_management=rules)
        same([item.type for item in small.output], ["message"])


def tokens() -> None:
    count = client.responses.input_tokens.count
    few, many = (
        count(model=MODEL, input="hello"),
        count(model=MODEL, input="hello " * 500, tools=[LOOK], instructions="BE"),
    )
    same(few.object, "response.input_tokens")
    assert 0 < few.input_tokens < many.input_tokens
    r = create(model=MODEL, input="NOTE a=b " * 300)
    assert count(model=MODEL, input="x", previous_response_id=r.id).input_tokens > 300


def everything() -> None:
    for part in (conversations, references, compaction, tokens):
        part()


scenario(everything)
