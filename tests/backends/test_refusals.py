# ruff: noqa: E501 (a table reads best with one case per line)
"""What the known servers say when they refuse, and what a client is told."""

from __future__ import annotations

from json import dumps, loads

import pytest

from antiphon.backends.refusals import refusal, told_error
from antiphon.backends.waits import from_headers

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
    ("openrouter", 404, '{"error":{"message":"No endpoints found that support tool use.","code":404}}', 400, "invalid_value", ""),
    ("nginx", 404, "<html><head><title>404 Not Found</title></head></html>", 502, "backend_error", ""),
    ("express", 404, "Cannot POST /v2/chat/completions", 502, "backend_error", ""),
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
    assert (
        refusal(429, b"", from_headers(lambda name: value if name == b"retry-after" else b"")).headers["Retry-After"]
        == seconds
    )


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


# Words, in all envelopes

ENVELOPES = [
    '{"error":{"message":"The words."}}',
    '[{"error":{"code":400,"message":"The words.","status":"INVALID_ARGUMENT"}}]',
    '{"errors":[{"message":"The words.","code":5021}],"success":false,"result":{},"messages":[]}',
    '{"errors":["The words."]}',
    '{"error":["The words."]}',
    '{"error":{"msg":"The words."}}',
    '{"error":{"errors":[{"message":"The words.","reason":"badRequest"}]}}',
    '{"detail":{"error":{"message":"The words."}}}',
    '{"detail":[{"error":{"message":"The words."}}]}',
    '{"detail":{"msg":"The words.","type":"x"}}',
    '{"error_msg":"The words.","error_code":336003}',
    '{"errmsg":"The words.","errcode":40001}',
    '{"ErrorMessage":"The words.","Code":"X"}',
    '{"Message":"The words.","__type":"ValidationException"}',
    '{"Response":{"Error":{"Code":"X","Message":"The words."},"RequestId":"r"}}',
    '{"header":{"code":10013,"message":"The words.","sid":"x"}}',
    '{"base_resp":{"status_code":2013,"status_msg":"The words."}}',
    '{"code":500,"msg":"The words.","success":false}',
    '{"code":"X","description":"The words.","detail":"retry later"}',
    '{"fault":{"faultstring":"The words.","detail":{"errorcode":"x"}}}',
    '{"error":"invalid_request","error_description":"The words."}',
    '{"timestamp":1,"status":500,"error":"Internal Server Error","message":"The words."}',
    '{"statusCode":400,"message":["The words."],"error":"Bad Request"}',
    '{"title":"Bad Request","status":400,"detail":"The words."}',
    '{"title":"The words.","status":400}',
    '{"type":"error","error":{"type":"x","message":"The words."}}',
    '{"error":{"message":"{\\"error\\":{\\"message\\":\\"The words.\\"}}"}}',
    '{"error":{"message":{"detail":"The words."}}}',
    '{"message":{"error":"The words."}}',
    '{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"The words.","provider_name":"P"}}}',
    '{"error":{"message":"Provider returned error","metadata":{"raw":"{\\"error\\":{\\"message\\":\\"The words.\\"}}"}}}',
    '{"error":{"message":"Failed to call.","code":"tool_use_failed","failed_generation":"The words."}}',
    '{"error":{"message":"Bad Request","innererror":{"code":"x","message":"The words."}}}',
    '{"error":{"code":400,"message":"Invalid.","details":[{"@type":"x","description":"The words."}]}}',
    '{"reasons":{"x":"The words."}}',
    "<html><head><title>The words.</title></head></html>",
    "[ERROR] The words.",
    "{'error': {'message': 'The words.', 'code': None}}",
    "The words.",
]


@pytest.mark.parametrize("body", ENVELOPES)
@pytest.mark.parametrize("status", [400, 422, 429, 500, 503])
def test_words_are_found_in_all_envelopes(status: int, body: str) -> None:
    assert "The words." in refusal(status, body.encode()).message


@pytest.mark.parametrize("body", ENVELOPES[:28])
def test_words_are_found_in_the_place_of_an_answer(body: str) -> None:
    if "title" not in body.partition(":")[0]:
        assert "The words." in told_error(loads(body)).message


def test_a_refusal_with_words_is_not_taken_for_a_wrong_key() -> None:
    assert refusal(403, b'{"error":{"message":"Your input was flagged."}}').message.endswith("Your input was flagged.")
    assert "API key" in refusal(403, b"").message


# A request that is too long

TOO_LONG = [
    "This model's maximum context length is 131072 tokens. However, you requested 200000 tokens in the messages.",
    "This endpoint's maximum context length is 131072 tokens.",
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "prompt is too long: 208310 tokens > 200000 maximum",
    "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
    "Input is too long for requested model.",
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "Unable to submit request because the input token count is 40010 but model only supports up to 32768.",
    "This model's maximum prompt length is 131072 but the request contains 200000 tokens.",
    "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192",
    "Prompt contains 40010 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    "invalid params, context window exceeds limit (2013)",
    "Invalid request: Your request exceeded model token limit: 8192 (requested: 40010)",
    "Prompt exceeds max length",
    "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 983616]",
    "too many tokens: size limit exceeded by 11326 tokens. The limit for this model is 128000 tokens.",
    "the request exceeds the available context size. try increasing the context size or enable context shift",
    "request (18029 tokens) exceeds the available context size (2048 tokens)",
    "Requested tokens (3000) exceed context window of 2048",
    "prompt too long; exceeded max context length by 12 tokens",
    "The number of tokens to keep from the initial prompt is greater than the context length.",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 40010 `inputs` tokens",
    "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000",
    "The input (40010 tokens) is longer than the model's context length (2048 tokens).",
    "The sum of prompt length (40010.0), query length (0) should not exceed max_num_tokens (8192)",
    "The decoder prompt (length 40010) is longer than the maximum model length of 2048.",
    "AiError: The estimated number of input and maximum output tokens (40010) exceeded this model context window limit (24000).",
    "prompt token count of 129537 exceeds the limit of 128000",
    "Request body too large for gpt-4o model. Max size: 8000 tokens.",
    "default_max_tokens (-100) must be greater than 0, default_max_tokens (-100) = max_seq_len (4096) - splited_prompt_len (4196)",
    "Requested 9000 tokens exceeds maximum sequence length of 8192",
    "length of prompt_tokens (40000) must be less than max_seq_len (32768).",
    "litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException - too long",
]


@pytest.mark.parametrize("words", TOO_LONG)
@pytest.mark.parametrize("status", [400, 413, 422, 500])
def test_a_request_that_is_too_long_is_known_by_its_words(status: int, words: str) -> None:
    error = refusal(status, dumps({"error": {"message": words}}).encode())
    assert (error.status, error.code, error.message) == (400, OVER, words)
    assert told_error({"message": words}).code == OVER


@pytest.mark.parametrize(
    ("status", "words", "code"),
    [
        (429, "Too many tokens, please wait before trying again.", "rate_limit_exceeded"),
        (
            413,
            "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 7000",
            "invalid_value",
        ),
        (400, "max_tokens must be at most 8192", "invalid_value"),
        (400, "The image is too long.", "invalid_value"),
    ],
)
def test_other_limits_are_not_taken_for_it(status: int, words: str, code: str) -> None:
    assert refusal(status, dumps({"error": {"message": words}}).encode()).code == code


# Waits


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "9"}, "2"),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, "30"),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m2.5s"}, "63"),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "120ms"}, "1"),
        ({"x-ratelimit-remaining-tokens": "9", "x-ratelimit-reset-tokens": "50s"}, "1"),
        ({"retry-after": "99999"}, "600"),
        ({}, "1"),
    ],
)
def test_the_wait_of_the_headers(headers: dict[str, str], seconds: str) -> None:
    wait = from_headers(lambda name: headers.get(name.decode(), "").encode())
    assert refusal(429, b"", wait).headers["Retry-After"] == seconds


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        ({"message": "Rate limit reached. Please try again in 7m12.5s. Visit us."}, "433"),
        ({"message": "Please retry after 17 seconds."}, "17"),
        ({"message": "Please retry in 34.074824224s."}, "35"),
        ({"message": "Try again in 900ms"}, "1"),
        ({"message": "Please wait 2 minutes and 5 seconds before you ask again"}, "125"),
        (
            {"message": "x", "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}]},
            "34",
        ),
        ({"message": "x", "retry_after": 12}, "12"),
        ({"message": "x", "metadata": {"retry_after_seconds": 3.5}}, "4"),
        ({"message": "Model is loading", "estimated_time": 20.3}, "21"),
        ({"message": "Retry 5 times, no more."}, "1"),
        ({"message": "x", "retry_after": True}, "1"),
    ],
)
def test_the_wait_of_fields_and_words(error: dict[str, object], seconds: str) -> None:
    assert refusal(429, dumps({"error": error}).encode()).headers["Retry-After"] == seconds
    assert told_error({**error, "code": 429}).headers["Retry-After"] == seconds


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": 50508, "message": "System is too busy now."}, 503),
        ({"code": "1302", "message": "Rate limit reached for requests"}, 429),
        ({"code": "Throttling.RateQuota", "message": "x"}, 429),
        ({"type": "overloaded_error", "message": "Overloaded"}, 503),
        ({"status_code": 1008, "status_msg": "insufficient balance"}, 402),
        ({"code": "oom", "message": "Out of memory"}, 502),
    ],
)
def test_errors_without_a_status_are_known_by_their_words(error: dict[str, object], status: int) -> None:
    assert told_error(error).status == status


def test_a_fault_of_the_server_in_an_events_place_may_be_asked_again() -> None:
    """LiteLLM, when its connection to the engine was closed: nothing was said yet, and the next try is answered."""
    error = told_error({"code": "server_error", "message": "Connection closed."})
    assert (error.status, error.code, error.retriable) == (502, "server_error", True)
    assert not told_error({"code": "invalid_prompt", "message": "No.", "type": "invalid_request_error"}).retriable
