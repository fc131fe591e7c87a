"""examples/mount_in_fastapi.py, served by uvicorn as its docstring says."""

from __future__ import annotations

import httpx2
import openai
import pytest

from tests.server.serving import serving_any

pytestmark = pytest.mark.slow


def test_the_example_serves_both_applications():
    pytest.importorskip("fastapi", reason="scripts/install brings FastAPI")
    from examples.mount_in_fastapi import host

    with serving_any(host) as url:
        assert httpx2.get(f"{url}/hello").json() == {"hello": "world"}
        client = openai.OpenAI(base_url=f"{url}/ai/v1", api_key="none")
        with client.responses.stream(model="scripted", input="Hello there") as stream:
            assert stream.get_final_response().output_text == "Hello there"
