"""openai-python on the other routes: chat completions, structured and streamed, and files."""

from __future__ import annotations

from typing import Any

import openai
from openai import OpenAI
from pydantic import BaseModel

from tests.clients.lib import API_KEY, BASE_URL, MODEL, play, same, scenario

client = OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
TEXT = "The quick brown fox – ürgs 🦊 – jumps."


class Point(BaseModel):
    x: int
    label: str


def everything() -> None:
    said: Any = [{"role": "user", "content": play("x", {"say": TEXT})}]
    same(client.chat.completions.create(model=MODEL, messages=said).choices[0].message.content, TEXT)
    chunks = list(
        client.chat.completions.create(model=MODEL, messages=said, stream=True, stream_options={"include_usage": True})
    )
    same("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices), TEXT)
    assert chunks[-1].usage is not None and chunks[-1].usage.total_tokens
    shaped: Any = [{"role": "user", "content": play("x", {"json": {"x": 4, "label": "p"}})}]
    same(
        client.chat.completions.parse(model=MODEL, messages=shaped, response_format=Point).choices[0].message.parsed,
        Point(x=4, label="p"),
    )
    try:
        client.chat.completions.create(model="nothing", messages=said)
        raise AssertionError("a model that nobody knows")
    except (openai.BadRequestError, openai.NotFoundError) as error:
        same(error.code, "model_not_found")
    made = client.files.create(file=("note.txt", b"NOTE pet=cat"), purpose="user_data")
    same((made.object, made.bytes, made.filename, client.files.retrieve(made.id).id), ("file", 12, "note.txt", made.id))
    assert made.id in [file.id for file in client.files.list()]
    same(client.files.content(made.id).read(), b"NOTE pet=cat")
    assert client.files.delete(made.id).deleted
    try:
        client.files.retrieve(made.id)
        raise AssertionError("still there")
    except openai.NotFoundError:
        pass


scenario(everything)
