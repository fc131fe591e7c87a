"""How servers say that a request is too long, in words that no table has: what, how it relates, to which bound."""

from __future__ import annotations

import pytest

from antiphon.backends.overflow_phrases import is_overflow


@pytest.mark.parametrize(
    "words",
    [
        "The total length of all messages is too long. too_many_prompt_tokens",
        "the number of input tokens 4150 cannot exceed the total tokens limit 4096 for this model",
        "Prompt has 5000 tokens in total, which is larger than the model input length limit 4096",
        "Input token length exceed max session len",
        "Prompt length 9000 is greater than max_seq_len 4096",
        "max tokens of 4096 exceeded",
        "tokens exceeds the upper limit",
        "Input Tokens Exceeded: Number of input tokens exceeds maximum length.",
        "Prompt is longer than the context window",
        "The context window for this model is 8192 tokens but the request has 9000",
        "Your messages are too long for this model (9000 > 8192 tokens)",
        "Conversation is too long, please start a new one",
        "Input text is too long: 9000 tokens, limit 8192",
        "This request's 150000 tokens exceed the 131072-token context of the model",
        "The prompt contains 9000 tokens, which exceeds the 8192 token limit",
        "Total tokens (9000) exceed model limit (8192)",
        "inputs tokens (9000) must be less than or equal to 8192",
        "Context overflow: 9000 tokens",
        "Token indices sequence length is longer than the specified maximum sequence length for this model",
        "输入长度超过模型上限",
        "对话内容过长，请缩短后重试",
    ],
)
def test_a_request_that_is_too_long_is_known(words: str) -> None:
    assert is_overflow(words)


@pytest.mark.parametrize(
    "words",
    [
        "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 9000",
        "max_tokens is too large: 9000. This model supports at most 4096 completion tokens",
        "The request asks for 9000 completion tokens, which exceeds the limit of 4096",
        "The tool name is too long: maximum 64 characters",
        "Image is too large: 20 MB",
        "messages: at most 100 images are allowed; the request exceeds the maximum input of images",
        "You exceeded your current quota",
        "monthly token limit exceeded for this key",
        "You have exceeded the token limit of your plan",
        "Request body is too large",
        "schema is too long",
        "messages.3.name: string too long, expected a string with maximum length 64",
        "string_above_max_length: Invalid 'input[3].call_id': string too long",
        "temperature must be less than 2",
        "The model is over capacity; the request exceeds what can be served now",
        "tools: 200 are more than the maximum of 128",
    ],
)
def test_what_is_too_long_for_another_reason_is_not(words: str) -> None:
    assert not is_overflow(words)
