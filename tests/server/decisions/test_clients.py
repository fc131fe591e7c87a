"""`client.decisions` of openai-python against the server: strictly validated answers. `tests/clients` has further clients."""

from __future__ import annotations

import pytest
from openai import BadRequestError, OpenAI

from tests.server.decisions.judge import judge
from tests.server.decisions.test_decisions import ALL, near
from tests.server.whole import whole_server


@pytest.mark.parametrize("model", ["judge", "plain", "vocal"])
def test_answers_are_what_its_types_say(model: str) -> None:
    with judge() as (url, _), whole_server(url) as server:
        client = OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, _strict_response_validation=True)
        declined = {"type": "predicate", "instructions": "DECLINE"}
        decision = client.decisions.create(model=model, input="x", questions=[*ALL, declined])  # type: ignore[arg-type]  # tables
        predicate, choice, score, refusal = decision.answers
        assert predicate.type == "predicate" and predicate.name == "urgent" and predicate.probability > 0.5
        assert choice.type == "choice" and choice.choice == "true=4"
        assert [type(one.value) for one in choice.probabilities] == [str, bool, str]
        assert score.type == "score" and [one.value for one in score.probabilities] == [0, 1, 2]
        assert sum(one.probability for one in score.probabilities) == near(1)
        assert refusal.type == "refusal" and refusal.name is None
        with pytest.raises(BadRequestError) as caught:
            client.decisions.create(model=model, input="x", questions=[])
        assert caught.value.param == "questions"
