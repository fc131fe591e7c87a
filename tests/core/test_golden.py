"""Golden transcripts, each played four ways: as recorded, shattered into characters, merged, cut off after each delta.

`pytest tests/core/test_golden.py --regenerate-golden` writes them anew; the difference is to be read before it is kept.
"""

from __future__ import annotations

from json import loads

import pytest

from antiphon.core.json_encoding import to_json
from antiphon.core.stream.fold import fold
from antiphon.types.events import Event
from tests.golden.player import BROKEN, CASES, Case, coalesced, merged, parsed, shattered
from tests.golden.rules import check_stream


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    golden = Case(request.param)
    if request.config.getoption("--regenerate-golden"):
        golden.record()
    return golden


def _check_fold(events: list[Event]) -> None:
    assert loads(to_json(fold(events))) == loads(events[-1].body)["response"]


def test_as_recorded(case: Case) -> None:
    events = case.play(case.deltas, case.error)
    assert parsed(events) == case.recorded_events()
    assert parsed(events)[-1]["response"] == case.recorded_response()
    assert [event.type for event in events] == [event["type"] for event in parsed(events)]
    check_stream(parsed(events))
    _check_fold(events)


def test_shattered_into_characters(case: Case) -> None:
    events = case.play(list(shattered(case.deltas)), case.error)
    check_stream(parsed(events))
    assert coalesced(parsed(events)) == coalesced(case.recorded_events())
    _check_fold(events)


def test_merged(case: Case) -> None:
    events = case.play(list(merged(case.deltas)), case.error)
    check_stream(parsed(events))
    assert coalesced(parsed(events)) == coalesced(case.recorded_events())
    _check_fold(events)


def test_cut_off_after_each_delta(case: Case) -> None:
    for length in range(len(case.deltas) + 1):
        events = case.play(case.deltas[:length], error=BROKEN)
        check_stream(parsed(events))
        assert parsed(events)[-1]["response"]["error"]["message"] == BROKEN.message
        _check_fold(events)


def test_a_fold_of_a_stream_that_broke_off_has_what_came_so_far(case: Case) -> None:
    events = case.play(case.deltas, case.error)
    for length in range(1, len(events)):
        so_far = loads(to_json(fold(events[:length])))
        assert so_far["status"] == "in_progress"
        for item, whole in zip(so_far["output"], case.recorded_response()["output"], strict=False):
            assert (item["id"], item["type"]) == (whole["id"], whole["type"])
            for part, whole_part in zip(item.get("content", []), whole.get("content", []), strict=False):
                assert whole_part.get("text", "").startswith(part.get("text", ""))


def test_a_stream_that_broke_off_keeps_its_annotations() -> None:
    """A background response that another server ends is folded from its log: the citations so far are part of it."""
    case = Case("citations")
    events = case.play(case.deltas)
    told = [loads(event.body) for event in events]
    cited = [index for index, event in enumerate(told) if event["type"] == "response.output_text.annotation.added"]
    assert len(cited) > 1
    for number, index in enumerate(cited, 1):
        part = loads(to_json(fold(events[: index + 1])))["output"][0]["content"][0]
        assert part["annotations"] == [told[one]["annotation"] for one in cited[:number]]


def test_a_fold_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no response"):
        fold([])
