"""Requests through the real client (openai-python) in every mode: whole, streamed, in background, over WebSocket."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from openai import APIConnectionError, APIError, APIStatusError, OpenAI

from tests.golden.rules import TERMINAL, check_stream

Json = dict[str, Any]
PATIENCE = 90.0  # seconds for one request, on a busy machine; `--patience` of the run multiplies all such limits
POLL = 0.05


class ToldError(Exception):
    """The server refused a request or failed its response: status or code, and its words."""


class WrongError(Exception):
    """An answer is not what it should be."""


def expect(true: object, said: object) -> None:
    """Raise WrongError with what was seen, unless it is right."""
    if not true:
        raise WrongError(str(said))


class Asking:
    """Makes responses in one mode. `factor`: what `PATIENCE` is multiplied by, on a machine that is busier than most."""

    def __init__(self, url: str, model: str, mode: str, factor: float = 1.0) -> None:
        self.patience = PATIENCE * factor
        self.client = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=self.patience)
        self.model = model
        self.mode = mode

    def wait_for_model(self) -> None:
        """Return once the model is listed. Raises WrongError."""
        deadline = time.monotonic() + self.patience
        while not any(model.id == self.model for model in self.client.models.list().data):
            expect(time.monotonic() < deadline, "the model is not listed")
            time.sleep(POLL)

    def __call__(self, **request: Any) -> Json:
        """Return a finished response; what was ignored of the request is added as `ignored`.

        Raises ToldError where the server says that there is none, WrongError for bad events.
        """
        try:
            response = MODES[self.mode](self.client, {"model": self.model, "temperature": 0, **request})
        except APIConnectionError as error:
            raise WrongError(f"no answer: {error}") from None
        except APIError as error:
            status = error.status_code if isinstance(error, APIStatusError) else "stream"
            raise ToldError(f"{status} {error.code}: {error.message}") from None
        if response["status"] == "failed":
            raise ToldError(f"failed {response['error']['code']}: {response['error']['message']}")
        return response


def _whole(client: OpenAI, request: Json) -> Json:
    answer = client.responses.with_raw_response.create(**request)
    return {**answer.parse().to_dict(mode="json"), "ignored": answer.headers.get("x-antiphon-ignored", "")}


def _streamed(client: OpenAI, request: Json) -> Json:
    """Judge the events by our grammar; then ask again, and let the client's own reader fold the stream."""
    answer = client.responses.with_raw_response.create(**request, stream=True)
    final = _judged([event.to_dict(mode="json") for event in answer.parse()])
    final["ignored"] = answer.headers.get("x-antiphon-ignored", "")
    if "conversation" in request:  # another answer would go into it
        return final
    with client.responses.stream(**request) as stream:
        said = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        if final["status"] == "completed":
            folded = stream.get_final_response()
            expect(said == folded.output_text, f"deltas {said!r}, text {folded.output_text!r}")
            expect(said == text(final), f"two streams differ: {said!r}, {text(final)!r}")
    return final


def _background(client: OpenAI, request: Json) -> Json:
    response = client.responses.create(**{**request, "store": True}, background=True)
    deadline = time.monotonic() + float(client.timeout or PATIENCE)  # type: ignore[arg-type]  # it is a number here
    while response.status in ("queued", "in_progress"):
        expect(time.monotonic() < deadline, "the background response does not end")
        time.sleep(POLL)
        response = client.responses.retrieve(response.id)
    return response.to_dict(mode="json")


def _socket(client: OpenAI, request: Json) -> Json:
    events = []
    with client.responses.connect() as connection:
        connection.response.create(**request)
        for event in connection:
            events.append(event.to_dict(mode="json"))
            if event.type in TERMINAL or (event.type == "error" and len(events) == 1):
                break
    if events[-1]["type"] == "error":
        error = events[-1]["error"]
        raise ToldError(f"{events[-1].get('status')} {error['code']}: {error['message']}")
    return _judged(events)


def _judged(events: list[Json]) -> Json:
    try:
        check_stream(events)
    except AssertionError as error:
        raise WrongError(f"the stream breaks its grammar: {error}") from None
    final: Json = events[-1]["response"]
    said = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    expect(said == text(final), f"deltas {said!r}, text {text(final)!r}")
    return final


MODES: Mapping[str, Callable[[OpenAI, Json], Json]] = {
    "whole": _whole,
    "streamed": _streamed,
    "background": _background,
    "WebSocket": _socket,
}


def text(response: Json) -> str:
    """Return the text of a response."""
    parts = [part for item in items(response, "message") for part in item["content"]]
    return "".join(part["text"] for part in parts if part["type"] == "output_text")


def thoughts(response: Json) -> str:
    """Return the thoughts of a response."""
    return "".join(part["text"] for item in items(response, "reasoning") for part in item.get("content") or ())


def items(response: Json, type: str) -> list[Json]:
    """Return the items of one type."""
    return [item for item in response["output"] if item["type"] == type]
