"""A chat completions server whose models judge by a rule that stands in the question.

An option `red=3` has the weight 3 among those of its ballot; a predicate with `p=0.8` holds with that probability. Models:
`judge` tells log-probabilities, `plain` none, `vocal` neither those nor probabilities in words, `thinker` thinks first however
it is asked, `wordy` begins with marks. What stands in a question: `DECLINE`: it refuses in words; `FILTER`: a filter ends it;
`FAIL 500`: its server fails; `HANG`: it never answers.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from math import log
from typing import Any, ClassVar, TypeVar, cast

from tests.server.whole import upstream

Json = dict[str, Any]
MODELS = ("judge", "plain", "vocal", "thinker", "wordy")
ROW = re.compile(r"^(?P<label>[A-Z]|\d|Yes|No): (?P<text>.*)$", re.MULTILINE)
WEIGHT = re.compile(r"=(\d+(?:\.\d+)?)")
THOUGHTS = 100  # tokens that `thinker` needs before it answers


def text_of(content: Any) -> str:
    """Return the texts of a message."""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content)


def weights(question: str) -> dict[str, float]:
    """Return the probability of each label."""
    stated = re.search(r"\bp=(\d\.\d+)", question)
    if stated:
        return {"Yes": float(stated[1]), "No": 1 - float(stated[1])}
    rows = {row["label"]: WEIGHT.search(row["text"]) for row in ROW.finditer(question)}
    found = {label: float(weight[1]) for label, weight in rows.items() if weight}
    total = sum(found.values())
    return {label: weight / total for label, weight in found.items()}


def logprobs(shares: dict[str, float], said: str) -> Json:
    """Return the log-probabilities of an answer's only token: 1 % is on other tokens."""
    top = [{"token": label, "logprob": log(share * 0.99)} for label, share in shares.items() if share > 0]
    top.append({"token": "Well", "logprob": log(0.01)})
    top.sort(key=lambda one: -one["logprob"])
    own = next(one for one in top if one["token"] == said)
    return {**own, "top_logprobs": top[:20]}


class Judge(BaseHTTPRequestHandler):
    """The server."""

    protocol_version = "HTTP/1.1"
    requests: ClassVar[list[Json]] = []
    running: ClassVar[int] = 0
    most: ClassVar[int] = 0
    lock: ClassVar[threading.Lock] = threading.Lock()
    pause: ClassVar[float] = 0.0
    over: ClassVar[threading.Event] = threading.Event()

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.send({"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        kind = type(self)
        if not self.path.endswith("/chat/completions"):
            self.elsewhere(request)
            return
        with kind.lock:
            kind.requests.append(request)
            kind.running += 1
            kind.most = max(kind.most, kind.running)
        try:
            time.sleep(kind.pause)
            self._answer(request)
        finally:
            with kind.lock:
                kind.running -= 1

    def elsewhere(self, request: Json) -> None:
        """Answer a request of another path: there is none."""
        self.send({"detail": "Not Found"}, 404)

    def _answer(self, request: Json) -> None:
        question = text_of(request["messages"][-1]["content"])
        failing = re.search(r"FAIL (\d+)", question)
        if failing:
            self.send({"error": {"message": "kaputt", "code": "broken"}}, int(failing[1]))
            return
        if "HANG" in question:
            type(self).over.wait(20)
        message: Json = {"role": "assistant", "content": "I cannot say that, sorry."}
        choice: Json = {"index": 0, "message": message, "finish_reason": "stop"}
        if "FILTER" in question:
            choice |= {"finish_reason": "content_filter"}
        elif "DECLINE" not in question:
            self._judge(request, question, choice)
        usage = {"prompt_tokens": 100, "completion_tokens": 2, "total_tokens": 102}
        usage["prompt_tokens_details"] = {"cached_tokens": 60}
        self.send({"object": "chat.completion", "choices": [choice], "usage": usage})

    def weights(self, request: Json) -> dict[str, float]:
        """Return the probability of each label."""
        return weights(text_of(request["messages"][-1]["content"]))

    def _judge(self, request: Json, question: str, choice: Json) -> None:
        shares, message, model = self.weights(request), choice["message"], request["model"]
        said = max(shares, key=lambda label: shares[label])
        if model == "thinker":
            message["reasoning_content"] = "Let me see."
            if request.get("max_tokens", request.get("max_completion_tokens", 9999)) < THOUGHTS:
                message["content"], choice["finish_reason"] = "", "length"
                return
        in_words = "JSON object" in question and model != "vocal"
        message["content"] = f"```json\n{json.dumps(shares)}\n```" if in_words else said
        if request.get("logprobs") and model not in ("plain", "vocal"):
            marks = [{"token": "**", "logprob": -0.01, "top_logprobs": []}] if model == "wordy" else []
            message["content"] = f"**{said}**" if marks else said
            choice["logprobs"] = {"content": [*marks, logprobs(shares, said), *marks]}

    def send(self, value: Json, status: int = 200) -> None:
        """Send JSON."""
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


OneJudge = TypeVar("OneJudge", bound=Judge)


def fresh(kind: type[OneJudge]) -> type[OneJudge]:
    """Return a class of a server's own, which has seen no request yet."""
    own = {"requests": [], "lock": threading.Lock(), "over": threading.Event()}
    return cast(type[OneJudge], type(f"Fresh{kind.__name__}", (kind,), own))


@contextmanager
def judge() -> Iterator[tuple[str, type[Judge]]]:
    """Run the server; gives its base URL, and the class that notes what it was asked."""
    kind = fresh(Judge)
    try:
        with upstream(kind) as url:
            yield url, kind
    finally:
        kind.over.set()
