# ruff: noqa: E501 (a table reads best with one case per line)
"""What the known servers say when they refuse, and what a client is told."""

from __future__ import annotations

import pytest

from antiphon.backends.refusals import refusal

OVER = "context_length_exceeded"
# Server, status, body → status, code, param
CASES = [
    ("openai", 400, '{"error":{"message":"Bad.","type":"x","param":"messages[1].content","code":null}}', 400, "invalid_value", "input"),
    ("openai", 400, '{"error":{"message":"Bad.","param":"tools[0].function.name","code":"invalid"}}', 400, "invalid", "tools[0].name"),
    ("openai", 400, '{"error":{"message":"M.","param":"messages","code":"context_length_exceeded"}}', 400, OVER, "input"),
    ("openai", 429, '{"error":{"message":"Quota.","code":"insufficient_quota"}}', 402, "insufficient_quota", ""),
    ("openai", 401, '{"error":{"message":"Incorrect API key provided: sk-1.","code":"invalid_api_key"}}', 502, "backend_error", ""),
    ("vllm", 400, '{"object":"error","message":"This model\'s maximum context length is 8 tokens.","code":400}', 400, OVER, "input"),
    ("vllm", 404, '{"error":{"message":"The model `x` does not exist.","type":"NotFoundError","code":404}}', 400, "model_not_found", ""),
    ("vllm", 400, '{"error":{"message":"Bad.","param":"max_tokens","code":400}}', 400, "invalid_value", "max_output_tokens"),
    ("llama.cpp", 400, '{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error","n_ctx":8}}', 400, OVER, "input"),
    ("llama.cpp", 503, '{"error":{"message":"Loading model","type":"unavailable_error","code":503}}', 503, "backend_unavailable", ""),
    ("llama.cpp", 500, '{"error":{"code":500,"message":"Compute error.","type":"server_error"}}', 502, "backend_error", ""),
    ("ollama", 400, '{"error":"the input length exceeds the context length"}', 400, OVER, "input"),
    ("ollama", 404, '{"error":"model \'x\' not found"}', 400, "model_not_found", ""),
    ("sglang", 400, '{"message":"The input (9 tokens) is longer than the model\'s context length (8 tokens).","code":400}', 400, OVER, "input"),
    ("openrouter", 402, '{"error":{"message":"Insufficient credits","code":402}}', 402, "insufficient_quota", ""),
    ("fastapi", 422, '{"detail":[{"loc":["body"],"msg":"field required"}]}', 400, "invalid_value", ""),
    ("fastapi", 404, '{"detail":"Not Found"}', 502, "backend_error", ""),
    ("any", 403, "", 502, "backend_error", ""),
    ("any", 409, "{}", 409, "invalid_value", ""),
    ("any", 413, "too large", 413, "invalid_value", ""),
    ("any", 500, "<html><h1>oops</h1></html>", 502, "backend_error", ""),
    ("any", 502, "", 502, "backend_error", ""),
    ("any", 504, "", 504, "backend_timeout", ""),
    ("any", 529, '{"error":{"message":"Overloaded"}}', 503, "backend_unavailable", ""),
    ("any", 307, "", 502, "backend_error", ""),
    ("any", 429, "", 429, "rate_limit_exceeded", ""),
]  # fmt: skip


@pytest.mark.parametrize(("server", "status", "body", "ours", "code", "param"), CASES)
def test_statuses_codes_and_params(server: str, status: int, body: str, ours: int, code: str, param: str) -> None:
    error = refusal(status, body.encode())
    assert (error.status, error.code, error.param) == (ours, code, param), server
    assert error.message
    assert "sk-1" not in error.message
    assert "<" not in error.message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"error":{"message":"The words."}}', "The words."),
        ('{"error":"The words."}', "The words."),
        ('{"message":"The words."}', "The words."),
        ('{"detail":"The words."}', "The words."),
        ("The words.", "The words."),
    ],
)
@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_the_backends_words_are_kept(status: int, body: str, words: str) -> None:
    assert refusal(status, body.encode()).message == words


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"7", "7"), (b"1.2", "2"), (b"0", "1"), (b"", "1"), (b"Wed, 21 Oct 2015 07:28:00 GMT", "1"), (b"nan", "1")],
)
def test_retry_after_is_a_number_of_seconds(value: bytes, seconds: str) -> None:
    assert refusal(429, b"", value).headers["Retry-After"] == seconds


@pytest.mark.parametrize(("status", "retriable"), [(400, False), (413, False), (401, True), (429, True), (503, True)])
def test_what_may_be_tried_elsewhere(status: int, retriable: bool) -> None:
    assert refusal(status, b"").retriable is retriable


def test_params_of_relayed_chat_completions_keep_their_names() -> None:
    body = b'{"error":{"message":"x","param":"messages[0].content"}}'
    assert refusal(400, body, ours=False).param == "messages[0].content"


def test_long_messages_are_cut_and_bytes_that_are_no_text_survive() -> None:
    assert len(refusal(400, b"x" * 100_000).message) == 2000
    assert refusal(400, b"\xff\xfe").message


def test_addresses_and_keys_are_taken_out() -> None:
    body = b'{"error":{"message":"Cannot connect to http://10.0.0.5:8000/v1 with sk-abcdefgh12345."}}'
    assert refusal(500, body).message == "Cannot connect to [address] with [key]"
