"""How far probabilities can be believed: a labelled set, asked of a model that is too sure, before and after calibration."""

from __future__ import annotations

import hashlib
from typing import Any

from antiphon.config import CalibrationConfig, DecisionsConfig
from antiphon.core.decisions.calibration import (
    brier_score,
    calibration_error,
    fitted,
)
from tests.server.decisions.judge import Judge, fresh, text_of
from tests.server.decisions.labelled import labelled
from tests.server.whole import Client, Json, upstream, whole_server

RIGHT = {text: place for text, _, place in labelled()}


class Boaster(Judge):
    """Is right of three answers in four, and tells 97 % for each."""

    def weights(self, request: Json) -> dict[str, float]:
        """Return the probability of each label."""
        texts = [text_of(message["content"]) for message in request["messages"]]
        text = next(text for text in texts if text in RIGHT)
        labels = ["Yes", "No"] if "Yes or No" in texts[-1] else ["A", "B", "C", "D"]
        digest = hashlib.sha256(text.encode()).digest()
        said = (RIGHT[text] + (digest[0] < 64) * (1 + digest[1] % (len(labels) - 1))) % len(labels)
        rest = 0.03 / (len(labels) - 1)
        return {label: 0.97 if place == said else rest for place, label in enumerate(labels)}


def told(client: Client, cases: Any) -> list[list[float]]:
    """Return the probabilities of each case's options."""
    found = []
    for text, question, _ in cases:
        status, body = client.post("/v1/decisions", model="judge", input=text, questions=[question])
        assert status == 200, body
        answer = body["answers"][0]
        if answer["type"] == "predicate":
            found.append([answer["probability"], 1 - answer["probability"]])
        else:
            found.append([one["probability"] for one in answer["probabilities"]])
    return found


def test_a_calibration_that_was_fitted_holds_for_other_questions() -> None:
    seen, unseen = labelled()[::2], labelled()[1::2]
    right = [place for _, _, place in unseen]
    kind = fresh(Boaster)
    with upstream(kind) as url:
        with whole_server(url) as client:
            found = fitted(told(client, seen), [place for _, _, place in seen])
            before = told(client, unseen)
        table = CalibrationConfig(temperature=found.temperature, bias=found.bias)
        with whole_server(url, decisions=DecisionsConfig(calibration={"judge": table})) as client:
            after = told(client, unseen)
    assert found.bias == 0 and found.temperature > 1
    measured = [
        round(measure(shares, right), 3) for shares in (before, after) for measure in (calibration_error, brier_score)
    ]
    assert measured == MEASURED


MEASURED = [0.17, 0.382, 0.084, 0.345]
"""Expected calibration error and Brier score, before and after: docs/decisions-api.md tells them."""
