"""What stands in the place of a conversation after a compaction."""

import json

from msgspec import Raw

from antiphon.core import compaction as compact
from antiphon.core import context
from antiphon.core.compaction import Compacted
from antiphon.core.json_encoding import to_json
from antiphon.types.items import FunctionCall, FunctionCallOutput, Message, OtherItem


def items(*values):
    return context.input_items([Raw(json.dumps(value).encode()) for value in values])


def seal(text):
    return "sealed:" + text


def unseal(sealed):
    return sealed.removeprefix("sealed:") if sealed.startswith("sealed:") else None


def compaction(**fields):
    return json.loads(compact.compaction_item("cmp_1", seal(to_json(Compacted(**fields)).decode())))


BEFORE = ({"role": "user", "content": "one"}, {"role": "assistant", "content": "two"})
AFTER = {"role": "user", "content": "three"}


def texts(expanded):
    return [item.content if isinstance(item.content, str) else item.content[0].text for item in expanded]


def test_the_users_messages_and_the_summary_stay():
    expanded = compact.expand(items(*BEFORE, compaction(summary="S"), AFTER), unseal)
    assert texts(expanded) == ["one", "Summary of the conversation so far:\n\nS", "three"]


def test_a_compaction_that_kept_items_replaces_all_before_it():
    kept = [Raw(json.dumps({"type": "message", "role": "user", "content": "kept"}).encode())]
    expanded = compact.expand(items(*BEFORE, compaction(summary="S", kept=kept), AFTER), unseal)
    assert texts(expanded) == ["Summary of the conversation so far:\n\nS", "kept", "three"]


def test_the_last_compaction_counts():
    expanded = compact.expand(items(*BEFORE, compaction(summary="old"), AFTER, compaction(summary="new")), unseal)
    assert texts(expanded)[-1].endswith("new")
    assert not any(text.endswith("old") for text in texts(expanded))


def test_a_foreign_compaction_is_passed_over():
    foreign = {"type": "compaction", "id": "cmp_x", "encrypted_content": "gAAAA"}
    expanded = compact.expand(items(*BEFORE, foreign, AFTER), unseal)
    assert [type(item) for item in expanded].count(OtherItem) == 1
    assert len(expanded) == 4


def test_a_trigger_is_not_part_of_the_conversation():
    given = items(*BEFORE, {"type": "compaction_trigger"})
    assert compact.is_trigger(given[-1])
    assert texts(compact.expand(given, unseal)) == ["one", "two"]


def test_what_is_still_to_be_answered_is_not_summarised():
    head, tail = compact.split_at_last_user(items(*BEFORE, AFTER))
    assert (texts(head), texts(tail)) == (["one", "two"], ["three"])
    assert compact.split_at_last_user(items(BEFORE[1])) == (items(BEFORE[1]), [])


def test_what_stands_after_a_compaction_is_the_last_question_and_what_came_of_it():
    old, long = Message(role="assistant", content="long " * 100), Message(role="user", content="long " * 100)
    question = Message(role="user", content="And now?")
    call = FunctionCall(call_id="c", name="look", arguments="{}")
    output = FunctionCallOutput(call_id="c", output="much " * 500)
    assert compact.split_for_compaction([old, question]) == ([old], [question])
    assert compact.split_for_compaction([old, question, call, output]) == ([old, question, call, output], [question])
    # A question that is most of it would still stand: nothing is gained
    assert compact.split_for_compaction([long, call]) == ([], [long, call])


def test_an_item_sent_back_alone_still_knows_the_question_and_the_call_whose_output_comes():
    call = FunctionCall(call_id="c", name="look", arguments="{}")
    before = [*items(*BEFORE), call]
    (item,) = items(
        json.loads(compact.compaction_item("cmp_1", seal(to_json(compact.in_place_of(before, "S")).decode())))
    )
    output = FunctionCallOutput(call_id="c", output="seen")
    question, summary, *rest = compact.expand([item, output], unseal)
    assert (question, rest) == (before[0], [call, output])
    assert "S" in summary.content[0].text
    # Where the client sends them itself, they stand once
    assert compact.expand([before[0], item, call, output], unseal) == [question, summary, call, output]
    assert compact.expand([item], unseal) == [question, summary]


def test_only_the_last_messages_are_kept_where_they_are_long():
    long = [Message(role="user", content=str(n) * 40_000) for n in range(3)]
    assert [raw[-3:-2] for raw in map(bytes, compact.in_place_of(long, "S").asked)] == [b"2"]


def test_a_summary_of_a_summary_leaves_the_first_one_out():
    (item,) = items(compaction(summary="S", asked=[Raw(json.dumps(BEFORE[0]).encode())]))
    again = compact.in_place_of(compact.expand([item], unseal), "T")
    assert [json.loads(bytes(raw))["content"] for raw in again.asked] == ["one"]


def call(id):
    return {"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"}


def output(id, text="o"):
    return {"type": "function_call_output", "call_id": id, "output": text}


def test_a_waiting_call_is_kept_although_its_id_was_answered_before():
    made = compact.in_place_of(items(*BEFORE, call("x"), output("x"), AFTER, call("x")), "S")
    assert len(made.waiting) == 1
    item = json.loads(compact.compaction_item("cmp_1", seal(to_json(made).decode())))
    expanded = compact.expand(items(*BEFORE, item, output("x")), unseal)
    assert [type(entry) for entry in expanded[-2:]] == [FunctionCall, FunctionCallOutput]
    expanded = compact.expand(items(*BEFORE, item, output("x"), call("x"), output("x", "p")), unseal)
    assert [entry.call_id for entry in expanded[-4:]] == ["x"] * 4
