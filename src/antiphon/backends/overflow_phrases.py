"""How servers say that a request is longer than the context window, as a table."""

from __future__ import annotations

import re

_PHRASES = (
    r"context.?length.?exceeded|exceed_context_size|context.?window.?exceeded|tokens_limit_reached|prompt_too_long|input_too_long",
    r"model_max_prompt_tokens_exceeded",
    # OpenAI, vLLM, DeepSeek, Together, OpenRouter, Fireworks
    r"maximum context length|maximum model length|longer than the (?:maximum )?model(?:'s)? (?:context|maximum) length",
    r"exceeds? (?:the |this |its |your )?(?:available |maximum |model(?:'s)? )?context[ -](?:size|window|length|limit)",
    r"exceed(?:s|ed)? (?:the |this |its )?(?:model(?:'s)? )?(?:input |maximum )?(?:context window|context limit|token limit)",
    # Anthropic, Bedrock
    r"prompt is too long|input is too long|input length and .{0,20}exceed context limit|too many input tokens",
    # Gemini, Vertex
    r"input token count .{0,40}(?:exceeds|but model only supports)|exceeds the maximum number of (?:input )?tokens",
    # xAI, Groq, Cerebras
    r"maximum prompt length is \d|reduce the length of (?:the |your )?(?:messages|prompt|input)",
    # Mistral, MiniMax, Moonshot, Z.ai, DashScope, Cohere
    r"too large for model with \d|context window exceeds limit|exceeded model token limit|prompt exceeds max length",
    r"range of input length should be|too many tokens: |total number of tokens in the prompt|prompt.{0,10}超长",
    # llama.cpp, llama-cpp-python, Ollama, LM Studio
    r"requested tokens .{0,40}exceed|input length exceeds|exceeded max context length|than the context length",
    r"reached context length|with context length of only \d|prompt too long",
    # TGI, SGLang, TensorRT-LLM, Triton, DeepInfra, SambaNova
    r"must have less than \d+ tokens|` tokens \+ `max_new_tokens` must be|token count exceeds the model",
    r"should not exceed max_num_tokens|default_max_tokens \(-?\d+\) must be greater than 0",
    r"exceeds? (?:the )?maximum sequence length|must be less than max_seq_len|prompt is \d+ tokens; the maximum",
    r"input length .{0,20}exceeds maximum|prompt is .{0,10}\d+ tokens long, so|exceeds? max_input_len",
    r"max(?:imum)?[ _]input[ _]length",
    # Cloudflare, GitHub, Databricks, Baidu, Volcengine
    r"model context window limit|prompt token count of \d+ exceeds|body too large for .{0,40}max size: \d+ tokens",
    r"exceeds the max limit of \d+ tokens|prompt tokens too long|input tokens exceed|exceed max message tokens",
    r"prompt length exceeds",
)
_LONG = re.compile("|".join(_PHRASES), re.IGNORECASE)
# Servers that the table does not know: what is too long, how it relates to what, each within a few words.
_WHAT = r"\b(?:inputs?|prompts?|messages?|request|conversation|chat history|context|sequence|query|total)\b"
_MORE = (
    r"(?:exceed(?:s|ed|ing)?|(?:larger|greater|longer|more) than|(?:is|are) above|(?:is|are) over"
    r"|(?:must|should) be (?:less|smaller|shorter|fewer) than|goes? beyond)\b"
)
_BOUND = (
    r"(?:context|window|session.?len|upper limit|model(?:'s)? (?:input |token )?(?:limit|length)|token limit"
    r"|max(?:imum)?[ _](?:seq|model|session|input|context|number of tokens|tokens allowed)|tokens? limit)"
)
_GENERAL = re.compile(
    rf"{_WHAT}[^\n]{{0,48}}?\b{_MORE}[^\n]{{0,32}}?{_BOUND}"
    rf"|{_WHAT}[^\n]{{0,40}}?\btokens?\b[^\n]{{0,20}}?\b{_MORE}[^\n]{{0,40}}?(?:limit|allowed|maximum|\d{{3}})"
    r"|\b(?:inputs?|prompts?|messages|conversation|chat history|context|query)(?: text| tokens?| length| history)?"
    r" (?:is|are) too (?:long|large)\b"
    r"|too[ _]many[ _](?:input|prompt|context)[ _]tokens|context[ _]?overflow|too long for (?:this|the) model"
    r"|tokens? exceeds? the (?:upper )?limit|max(?:imum)? tokens of \d+ exceeded"
    r"|context (?:window|length|size|limit)\b[^\n]{0,40}? is \d[^\n]{0,40}?\b(?:but|however|while|and)\b[^\n]{0,40}?\d"
    r"|(?:输入|上下文|对话|提示词|token)[^\n]{0,12}?(?:过长|超过|超出|超限|太长)",
    re.IGNORECASE,
)
# The length of an answer, or of a name; one file of many.
_OTHER = re.compile(
    r"(?:completion|output|new|generated)[ _-]tokens?|max_tokens|string too long|\bstring_above|characters\b|images?\b",
    re.IGNORECASE,
)
# The same numbers per minute are a rate; those of an account are a quota.
_RATE = re.compile(
    r"per[ _-]?(?:min|day|hour|second)|\b(?:TPM|RPM|TPD)\b|rate.?limit|quota|(?:limit|tokens) of your plan|monthly|daily",
    re.IGNORECASE,
)


def is_overflow(text: str) -> bool:
    """Tell whether the words and codes of an error say that the request is too long for the model."""
    if _RATE.search(text) is not None:
        return False
    return _LONG.search(text) is not None or (_GENERAL.search(text) is not None and _OTHER.search(text) is None)
