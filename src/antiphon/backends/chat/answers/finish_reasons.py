"""Why an answer ended, in the words of all servers, as a table."""

from __future__ import annotations

from antiphon.core.deltas import FinishReason

NO_END = frozenset(("", "null", "none"))
"""Words of servers that mean that there is more to come."""

_WORDS: dict[FinishReason | None, str] = {
    FinishReason.STOP: """
        stop stopped eos eos_token eosfound end end_turn end_of_turn stop_sequence stop_string stopstringfound stop_token
        complete completed finished finish done pause_turn natural other
        """,
    FinishReason.TOOL_CALLS: "tool_calls tool_call toolcalls tool_use function_call function_calls tool",
    FinishReason.LENGTH: """
        length max_tokens max_token max_new_tokens max_output_tokens max_completion_tokens max_length length_limit
        maxpredictedtokensreached token_limit token_limit_reached truncated limit budget_exhausted repetition
        model_length context_length context_limit context_length_exceeded context_window_exceeded contextlengthreached
        model_context_window_exceeded exceeded_context_window error_limit time_limit
        """,
    FinishReason.CONTENT_FILTER: """
        content_filter content_filtered contentfilter filtered safety recitation sensitive blocklist blocked prohibited_content
        spii image_safety image_prohibited_content image_recitation language guardrail_intervened guardrail guardrails refusal
        moderation moderated flagged risk error_toxic
        """,
    None: """
        error abort aborted cancelled canceled user_cancel user_canceled user_cancelled userstopped timeout timed_out failed
        failure insufficient_system_resource network_error server_error internal_error engine_error internal_server_error
        malformed_function_call malformed_response unexpected_tool_call too_many_tool_calls missing_thought_signature
        modelunloaded overloaded engine_overloaded
        """,
}
_REASONS = {word: reason for reason, words in _WORDS.items() for word in words.split()}

# Parts of words that nobody has listed, the most telling first.
_PARTS: tuple[tuple[str, FinishReason | None], ...] = (
    ("context", FinishReason.LENGTH),
    ("length", FinishReason.LENGTH),
    ("max_", FinishReason.LENGTH),
    ("truncat", FinishReason.LENGTH),
    ("filter", FinishReason.CONTENT_FILTER),
    ("safety", FinishReason.CONTENT_FILTER),
    ("moderat", FinishReason.CONTENT_FILTER),
    ("prohibit", FinishReason.CONTENT_FILTER),
    ("error", None),
    ("fail", None),
    ("abort", None),
    ("cancel", None),
    ("timeout", None),
    ("malformed", None),
    ("tool", FinishReason.TOOL_CALLS),
    ("function", FinishReason.TOOL_CALLS),
)


def spelled(word: str) -> str:
    """Return a server's word as the table spells it."""
    return word[:64].lower().replace("-", "_").replace(" ", "_")


def reason_of(word: str) -> FinishReason | None:
    """Return what a word means; None where the answer was broken off. An unknown word is a model's own end."""
    if word in _REASONS:
        return _REASONS[word]
    return next((reason for part, reason in _PARTS if part in word), FinishReason.STOP)
