"""The regular expressions of the package by name (`tests/test_regexes`): those that see input from outside, and the others."""

from __future__ import annotations

OUTSIDE: dict[str, str] = {
    "core.text.html_pieces:_TAG": "match",
    "core.text.html_pieces:_SCRIPT_END": "search",
    "core.text.html_pieces:_STYLE_END": "search",
    "core.text.html_pieces:_TEXTAREA_END": "search",
    "core.text.html_pieces:_TITLE_END": "search",
    "tools.web.page_text:_HREF": "search",
    "tools.web.page_text:_TITLE": "search",
    "tools.web.page_text:_MAIN": "search",
    "tools.web.page_text:_BLANK": "sub",
    "tools.web.pages:_CHARSET": "search",
    "tools.web.provider_calls:_URL": "findall",
    "tools.web.providers:_MARKUP": "sub",
    "tools.web.search:_URL": "findall",
    "core.decisions.label_reading:_FIRST_WORD": "match",
    "core.decisions.label_reading:_SAYS_ANSWER": "search",
    "core.tools.grammars.grammar:_ESCAPE": "search",
    "types.raw:_ESCAPE": "search",
    "core.request.json_text:_SURROGATE": "search",
    "core.request.json_text:_MAY_BE_LONE": "search",
    "core.request.json_text:_ESCAPE": "search",
    "core.text.sse:_STRAY": "search",
    "core.text.sse:_SILENT_LINE": "search",
    "config.masking:_KEYS": "search",
    "config.masking:_PLACES": "search",
    "config.masking:_URLS": "search",
    "config.masking:_USER": "search",
    "config.tables:SECRET_QUERY": "search",
    "backends.anthropic.lessons:_SIGNATURE": "search",
    "backends.anthropic.lessons:_MISSING": "search",
    "backends.anthropic.lessons:_FORCED": "search",
    "backends.anthropic.lessons:_THINKING": "search",
    "backends.anthropic.lessons:_EFFORT": "search",
    "backends.anthropic.lessons:_FORMAT": "search",
    "backends.anthropic.lessons:_CONFIG": "search",
    "backends.anthropic.lessons:_CACHE": "search",
    "backends.anthropic.lessons:_METADATA": "search",
    "backends.anthropic.lessons:_ROLE": "search",
    "backends.anthropic.lessons:_ONE_OF_BOTH": "search",
    "backends.anthropic.lessons:_STRICT": "search",
    "backends.anthropic.lessons:_WORDS": "search",
    "backends.anthropic.origin:_PREFIX": "search",
    "backends.anthropic.origin:_DATE": "search",
    "backends.anthropic.thinking:_ADAPTIVE": "search",
    "backends.anthropic.thinking:_NO_THOUGHTS": "search",
    "backends.anthropic.backend:_WORD": "fullmatch",
    "backends.chat.tool_calls:_MARKS": "search",
    "backends.llama.process:STAMP": "match",
    "backends.refusals:_CODE": "fullmatch",
    "backends.overflow_phrases:_LONG": "search",
    "backends.overflow_phrases:_GENERAL": "search",
    "backends.overflow_phrases:_OTHER": "search",
    "backends.overflow_phrases:_RATE": "search",
    "backends.refusals:_NO_PATH": "fullmatch",
    "backends.refusals:_STATUS_OF_WORDS": "search",
    "backends.waits:_PART": "search",
    "backends.waits:_WORDS": "search",
    "backends.refusals:_PARAMS": "search",
    "backends.refusals:_OF_REQUEST": "search",
    "backends.refusals:_TRACE": "search",
    "backends.learning.refusal_words:_UNSUPPORTED": "search",
    "backends.learning.refusal_words:_WRONG_VALUE": "search",
    "backends.learning.refusal_words:_LISTED": "search",
    "backends.learning.refusal_words:_EXPECTED": "search",
    "backends.learning.refusal_words:_ONLY_STREAMS": "search",
    "backends.learning.refusal_words:_NEVER_STREAMS": "search",
    "backends.learning.refusal_words:_TOOLS_WITH_STREAM": "search",
    "backends.learning.refusal_words:_TOKEN_FIELDS": "search",
    "backends.learning.refusal_words:_FORMAT": "search",
    "backends.learning.refusal_words:_BAD_SCHEMA": "search",
    "backends.learning.refusal_words:_CHOICE": "search",
    "backends.learning.refusal_words:_EFFORT": "search",
    "backends.learning.refusal_words:_TEMPLATE": "search",
    "backends.learning.refusal_words:_STRICT": "search",
    "backends.learning.refusal_words:_WORDS": "search",
    "backends.learning.refusal_words:_TOOLS_AND_FORMAT": "search",
    "backends.learning.refusal_words:_MUST_THINK": "search",
    "backends.learning.refusal_words:_SCHEMA": "search",
    "backends.learning.refusal_words:_QUOTED": "search",
    "backends.learning.refusal_words:_NAMED": "search",
    "backends.learning.refusal_words:_NAMES": "search",
    "backends.learning.refusal_words:_NO_THOUGHTS": "search",
    "backends.learning.refusal_words:_NO_SIGNATURE": "search",
    "backends.learning.refusal_words:_THOUGHTS": "search",
    "backends.learning.refused_shapes:_SHAPES": "search",
    "backends.learning.refused_shapes:_KEYWORD": "search",
    "backends.learning.refused_shapes:_UNSUPPORTED": "search",
    "backends.engine_details:_NUM_CTX": "search",
    "backends.learning.overflow_words:_WINDOWS": "search",
    "backends.learning.overflow_words:_INPUTS": "search",
    "backends.learning.overflow_words:_OUTPUT": "search",
    "backends.learning.overflow_words:_OUTPUT_AT_FAULT": "search",
    "backends.learning.overflow_words:_WINDOW_NAMED": "search",
    "backends.learning.overflow_words:_NUMBERS": "search",
    "backends.responses.decoder:_TYPE": "fullmatch",
    "backends.responses.refused_forms:_SIGNS": "search",
    "backends.responses.text_template:_PLACES": "search",
    "backends.scripted:_PIECE": "search",
    "core.retrieval.chunking:_PIECE": "findall",
    "core.retrieval.words:_UNSPACED": "split",
    "core.retrieval.words:_WORD": "findall",
    "core.token_count:_MEDIA": "search",
    "tools.retrieval.formats.documents:_CONTROLS": "sub",
    "tools.retrieval.formats.office:_SHEET": "fullmatch",
    "tools.retrieval.formats.office:_SLIDE": "fullmatch",
    "core.tools.call_thoughts:_RANDOM": "search",
    "core.tools.mcp_content:_PART": "search",
    "core.tools.call_ids:_NUMBERED": "fullmatch",
    "core.tools.call_ids:_SHORT": "fullmatch",
    "core.tools.call_names:_TOKEN": "search",
    "core.tools.call_names:_PREFIX": "match",
    "core.tools.call_names:_COUNT": "search",
    "core.tools.call_names:_PARTED": "search",
    "core.tools.call_names:_ODD": "search",
    "core.tools.call_names:_HUMP": "search",
    "core.tools.grammars.grammar:_TOKEN": "match",
    "core.request.json_text:_TOKEN": "search",
    "core.request.json_text:_NAME": "fullmatch",
    "core.text.leaks.harmony:_CHANNEL": "search",
    "core.text.leaks.harmony:_RECIPIENT": "search",
    "core.text.leaks.base:_COUNT": "search",
    "core.text.leaks.base:_ONE_WORD": "fullmatch",
    "core.text.leaks.base:_BLANKS": "match",
    "core.text.leaks.json_shapes:_FENCE": "match",
    "core.text.leaks.json_shapes:_PARTS": "match",
    "core.text.leaks.json_shapes:_NAME": "match",
    "core.text.leaks.json_shapes:_WORD": "match",
    "core.text.leaks.json_shapes:_MARKS": "search",
    "core.text.leaks.json_shapes:_BEGIN": "match",
    "core.text.leaks.json_shapes:_SHORT": "match",
    "core.text.leaks.json_shapes:_NAMED": "match",
    "core.text.leaks.markup:_ATTRIBUTE": "match",
    "core.text.leaks.markup:_HEAD": "match",
    "core.text.leaks.pythonic:_WORD": "match",
    "core.text.leaks.pythonic:_STRING": "match",
    "core.text.leaks.pythonic:_NUMERIC": "match",
    "core.text.leaks.pythonic:_NUMBER": "match",
    "core.text.leaks.pythonic:_CALL": "search",
    "core.text.leaks.braces:_KEY": "match",
    "core.request.prompts:_PLACEHOLDER": "search",
    "core.tools.redaction:_URL": "fullmatch",
    "core.request.tool_decoding:_STRING_REQUIRED": "search",
    "core.tools.tool_map:_NOT_IN_NAMES": "search",
    "core.citations.citer:_OPENING": "search",
    "core.citations.citer:_HOST": "match",
    "core.tools.input_unwrapper:_HEADS": "match",
    "core.tools.input_unwrapper:_PARTIAL_HEADS": "match",
    "core.tools.input_unwrapper:_WHOLE": "match",
    "core.tools.input_unwrapper:_PARTIAL_ESCAPE": "search",
    "core.tools.input_unwrapper:_LONE_HIGH": "search",
    "core.request.validation:_OFFSET": "search",
    "core.request.validation:_MISSING": "search",
    "telemetry.otlp:_PARENT": "fullmatch",
    "server.http.response_head:_SANE_ID": "fullmatch",
    "server.http.response_head:_UNSAFE": "search",
    "server.api.routing_hints:_PARENT": "fullmatch",
    "server.messages.relay:_MODEL_FIRST": "match",
    "server.messages.relay:_OUR_SEAL": "search",
    "server.ws.connection:_LANE": "search",
    "tools.mcp.headers:_TOKEN": "fullmatch",
    "tools.mcp.headers:_VALUE": "fullmatch",
    "tools.mcp.headers:_OURS": "fullmatch",
    "tools.mcp.param_headers:_TOKEN": "fullmatch",
    "tools.mcp.param_headers:_PLAIN": "fullmatch",
    "tools.mcp.refusals:_PARAMETER": "search",
}
"""Expressions that see input from outside, and how they are used."""

INSIDE = frozenset(
    """
    stores.postgres.sql:_CLOCK
    backends.llama.hub.models:NAME
    backends.llama.hub.choosing:SHARD
    backends.llama.hub.choosing:QUANT
    backends.llama.model:_id
    access.caller:_LIMIT
    cli.checks.diagnosis:_think
    cli.checks.doctor:described
    cli.keys:_SPAN
    core.text.leaks.reader:PreparedForms.__init__
    cli.monitor.scrape:_SERIES
    cli.monitor.scrape:_LABEL
    cli.monitor.scrape:_ESCAPE
    config.tables:_USERINFO
    server.pages.guide:ROW
    server.pages.guide:TEST
    server.pages.openapi:_VARIABLE
    server.pages.openapi:from_docstring
    server.pages.openapi:operation_id
    server.http.router:_VARIABLE
    config.environment:_KUBERNETES
    config.environment:_plain
    config.environment:_split
    config.layers:_VARIABLE
    config.shortcuts:_ADDRESS
    config.shortcuts:_NAMED
    stores.postgres.sql:_PARAMETER
    stores.sqlite.sql:_PARAMETER
    server.http.router:_pattern
    stores.postgres.sql:unescape
    """.split()
)
"""Those that see only what the operator, the developers or this machine say."""
