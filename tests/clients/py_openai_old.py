"""Old releases of openai-python: create, stream, parse, tools, state; fetched beside the other clients when they are missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.clients.lib import API_KEY, BASE_URL, MODEL, play, same, scenario

RELEASES = ("1.66.5", "1.99.9", "2.54.0")
TEXT = "The quick brown fox jumps."
LOOK: Any = {
    "type": "function",
    "name": "look",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}


def use() -> None:
    """What an old release can do."""
    import openai
    from pydantic import BaseModel

    class Point(BaseModel):
        x: int

    same(openai.__version__, sys.argv[-1])
    client = openai.OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
    create: Any = client.responses.create
    r = create(
        model=MODEL,
        instructions="BE",
        input=play("x", {"think": "HM", "say": TEXT}),
        temperature=0.1,
        metadata={"a": "b"},
    )
    same(
        (r.output_text, r.status, [item.type for item in r.output], r.metadata),
        (TEXT, "completed", ["reasoning", "message"], {"a": "b"}),
    )
    events = list(create(model=MODEL, stream=True, input=play("x", {"think": "HM", "say": TEXT})))
    same("".join(e.delta for e in events if e.type == "response.output_text.delta"), TEXT)
    same(events[-1].type, "response.completed")
    if hasattr(client.responses, "stream"):
        with client.responses.stream(model=MODEL, input=play("x", {"json": {"x": 4}}), text_format=Point) as s:
            list(s)
            same(s.get_final_response().output_parsed, Point(x=4))
    parsed = client.responses.parse(model=MODEL, input=play("x", {"json": {"x": 4}}), text_format=Point)
    same(parsed.output_parsed, Point(x=4))
    prompt = play(
        "go",
        {"say": "Looking.", "call": [["look", {"city": "Rome"}], ["look", {"city": "Oslo"}]]},
        {"say": "{{tool.0}} {{tool.1}}"},
    )
    r = create(model=MODEL, tools=[LOOK], input=prompt)
    calls = [item for item in r.output if item.type == "function_call"]
    outputs = [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"o{n}"} for n, call in enumerate(calls)
    ]
    same(create(model=MODEL, tools=[LOOK], previous_response_id=r.id, input=outputs).output_text, "o0 o1")
    replay = [{"role": "user", "content": prompt}, *[item.model_dump() for item in r.output], *outputs]
    same(create(model=MODEL, tools=[LOOK], input=replay, store=False).output_text, "o0 o1")
    same(client.responses.retrieve(r.id).id, r.id)
    same(len(list(client.responses.input_items.list(r.id))), 1)
    client.responses.delete(r.id)
    try:
        create(model=MODEL, input="x", temperature=9)
        raise AssertionError("no error")
    except openai.BadRequestError as error:
        same(error.param, "temperature")


def fetched(release: str) -> Path:
    """Return the folder of a release."""
    folder = Path(sys.prefix) / "old" / release
    if not folder.exists():
        command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), f"openai=={release}"]
        subprocess.run(command, check=True, capture_output=True)
    return folder


def everything() -> None:
    for release in RELEASES:
        path = os.pathsep.join([str(fetched(release)), os.environ.get("PYTHONPATH", ""), os.getcwd()])
        child = [sys.executable, "-m", "tests.clients.py_openai_old", "--child", release]
        done = subprocess.run(child, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
        assert done.returncode == 0, f"openai {release}: {done.stdout}{done.stderr}"


scenario(use if "--child" in sys.argv else everything)
