"""`chat_template_kwargs` of a client's beside those of the operator."""

from __future__ import annotations

import httpx2
import msgspec
import pytest

from antiphon import BackendConfig, Config, ModelConfig, create_app

CONFIG = Config(
    store="memory",
    backends={"only": BackendConfig(url="http://127.0.0.1:9/v1", discover=False)},  # nobody listens there
    models={
        "m": ModelConfig(
            backends=["only"], extra_body={"chat_template_kwargs": msgspec.Raw(b'{"enable_thinking":true}')}
        )
    },
)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"model": "m", "input": "Hi"}),
        ("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}),
    ],
)
async def test_what_is_no_object_is_a_400_on_every_path(path: str, body: dict[str, object]) -> None:
    async with create_app(CONFIG).running() as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = await client.post(path, json={**body, "chat_template_kwargs": 5})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "chat_template_kwargs")
