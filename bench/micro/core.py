"""What the core costs per token, item and request: CPU, without a loop. Run: python bench/micro/core.py [--count N]."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

from antiphon.backends.chat import codec
from antiphon.backends.chat.codec import ChatCall, CodecOptions
from antiphon.core.context import decode_history, input_items
from antiphon.core.deltas import TextDelta
from antiphon.core.request.decoding import decode_request, decode_tools, resolve_text
from antiphon.core.request.echo import Defaults, echo_response
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.text import sse
from antiphon.core.tools.tool_map import ToolMap
from antiphon.core.turn import Turn
from antiphon.types.events import Event

CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1760000000,"model":"m",'
    b'"choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}\n\n'
)
TOOL = (
    b'{"type":"function","name":"tool_%d","description":"Looks something up.","strict":false,'
    b'"parameters":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}}'
)
BODY = b'{"model":"m","stream":true,"input":"Write a haiku about the sea.","tools":[%b]}'
TURN = (
    b'[{"id":"msg_1","type":"message","role":"user","content":"Go on."}]',
    b'[{"id":"msg_2","type":"message","role":"assistant","status":"completed",'
    b'"content":[{"type":"output_text","text":"Waves and waves.","annotations":[],"logprobs":[]}]}]',
)


def stream() -> ResponseStream:
    """Return a stream that is about to begin."""
    request, _ = decode_request(BODY % b"", "forward")
    text = resolve_text(request.text)
    response = echo_response(request, id="resp_0", created_at=0, tools=[], text=text, defaults=Defaults())
    return ResponseStream(response, "0" * 48)


def feed(count: int) -> Sequence[Event]:
    """Make the events of so many tokens."""
    machine, delta = stream(), TextDelta(" word")
    machine.start()
    for _ in range(count):
        machine.feed(delta)
    machine.end_turn()
    machine.finish(0)
    return machine.take()


def encode(events: Sequence[Event]) -> None:
    """Frame events, ten per write."""
    for start in range(0, len(events), 10):
        sse.encode(events[start : start + 10])


def decode(count: int, per_read: int) -> None:
    """Read so many chunks of a backend's stream."""
    parser = sse.SSEParser()
    decoder = codec.decoder(turn(b""), ChatCall(ToolMap()), CodecOptions(), "0")
    for _ in range(count // per_read):
        decoder.feed(parser.feed(CHUNK * per_read), [])


def turn(tools: bytes) -> Turn:
    """Return the Turn of a request with these tools."""
    request, extra = decode_request(BODY % tools, "forward")
    return Turn(
        model="m",
        request=request,
        instructions=None,
        items=input_items(request.input),
        tools=decode_tools(request.tools),
        tool_choice="auto",
        parallel_tool_calls=True,
        text=resolve_text(request.text),
        temperature=None,
        top_p=None,
        max_output_tokens=None,
        reasoning_effort=None,
        extra=extra,
    )


def translate(count: int, tools: int) -> None:
    """Decode requests and write those for the backend."""
    declared = b",".join(TOOL % number for number in range(tools))
    for _ in range(count):
        codec.request(turn(declared), CodecOptions())


def context(turns: int) -> None:
    """Decode the history of a conversation."""
    decode_history(list(TURN) * turns, len(TURN) * turns)


def report(label: str, count: int, work: Callable[[], object]) -> None:
    """Run and print the CPU per unit."""
    started = time.process_time()
    work()
    print(f"{label:<44}{(time.process_time() - started) / max(count, 1) * 1e6:9.2f} µs CPU")


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    count = parser.parse_args().count
    events = feed(count)
    report("feed, per token", count, lambda: feed(count))
    report("encode, per event", len(events), lambda: encode(events))
    report("decode, per token, one per read", count, lambda: decode(count, 1))
    report("decode, per token, 100 per read", count, lambda: decode(count, 100))
    few = max(count // 100, 1)
    report("translate, per request", few, lambda: translate(few, 0))
    report("translate, per request with 20 tools", few, lambda: translate(few, 20))
    for turns in (10, 100, 1000):
        report(f"context of {turns} turns, per turn", turns, lambda turns=turns: context(turns))  # type: ignore[misc]


if __name__ == "__main__":
    main()
