"""What engines cannot do, as data: the words by which a run knows the limit, and its reason for docs/backends.md.

A run fails where a feature is wrong in other words, and where a limit is no longer met.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """A limit of engines. `apis`: the APIs through which it is met; none: all. `modes`: the modes; none: all.

    `told`: words in what the client is told, or in what was seen. `sometimes`: it is a race, so that a run may not meet it.
    """

    engines: Sequence[str]
    features: Sequence[str]
    told: str
    reason: str
    apis: Sequence[str] = ()
    modes: Sequence[str] = ()
    sometimes: bool = False

    def covers(self, engine: str, api: str, feature: str, mode: str) -> bool:
        """Tell whether it is about this feature of an engine."""
        return (
            engine in self.engines
            and feature in self.features
            and api in (self.apis or (api,))
            and mode in (self.modes or (mode,))
        )


_RELAYING = ("llama_cpp", "litellm", "agentic_api")  # llama.cpp answers in the end
_NO_TOKENIZER = ("litellm", "agentic_api", "llama_cpp_python", "transformers")

LIMITS: Sequence[Limit] = (
    Limit(
        _NO_TOKENIZER,
        ("input tokens",),
        "estimates near by header",
        "It offers no tokenizer to clients: `/v1/responses/input_tokens` answers with an estimate, which learns from usage, and"
        " says so (`x-antiphon-token-count: estimate`). `tokenizer` of a model counts exactly.",
    ),
    Limit(
        ("llama_cpp", "litellm"),
        ("forced call", "custom tool"),
        "no call; completed",
        "llama.cpp's `/v1/responses` obeys no forced call: the answer is text. The log names it, and `x-antiphon-ignored` where"
        ' it does not stream. With `api = "chat"` calls are forced.',
        apis=("responses",),
    ),
    Limit(
        ("agentic_api",),
        ("forced call",),
        "no call; completed",
        "It passes forced calls on to llama.cpp's `/v1/responses`, which obeys none: the answer is text. The log names it, and"
        " `x-antiphon-ignored` where it does not stream.",
    ),
    Limit(
        _RELAYING,
        ("required call",),
        "no call; incomplete",
        "llama.cpp's `/v1/responses` lets the model write text where a call is required; the demo model writes until it is cut"
        " off (`incomplete`).",
        apis=("responses",),
    ),
    Limit(
        _RELAYING,
        ("logprobs",),
        "top_logprobs",
        'llama.cpp\'s `/v1/responses` refuses `top_logprobs`: a 400 with its words. With `api = "chat"` there are logprobs.',
        apis=("responses",),
    ),
    Limit(
        _RELAYING,
        ("unicode",),
        "invalid_output",
        "llama.cpp's `/v1/responses` does not keep to a JSON Schema: an answer that breaks it is failed (`invalid_output`). With"
        ' `api = "chat"` schemas are kept to.',
        apis=("responses",),
    ),
    Limit(
        ("litellm",),
        ("no thoughts",),
        "thoughts '2",
        "LiteLLM refuses `reasoning.effort` for `openai/` models that it does not know: it is left out, and named in"
        " `x-antiphon-ignored`.",
        apis=("responses",),
    ),
    Limit(
        ("litellm",),
        ("many at once",),
        "Connection closed",
        "With many requests at once it sometimes answers with an error of its own connection to the engine, which is passed on.",
        apis=("responses",),
        sometimes=True,
    ),
    Limit(
        ("llama_cpp_python",),
        ("usage",),
        "usage is null",
        "It sends no usage with a stream: `usage` is null there.",
        modes=("streamed", "WebSocket"),
    ),
    Limit(
        ("llama_cpp_python",),
        ("chat completions",),
        "no usage",
        "It sends no usage with a stream.",
    ),
    Limit(
        ("llama_cpp_python",),
        ("thoughts",),
        "no thoughts",
        "Its server has no field that makes a model think: the template decides.",
    ),
    Limit(
        ("transformers",),
        ("thoughts",),
        "no thoughts",
        'Its `/v1/responses` has no field that makes a model think (`chat_template_kwargs` is refused). With `api = "chat"` and'
        ' `profile = "transformers"` the model thinks.',
        apis=("responses",),
    ),
    Limit(
        ("llama_cpp_python",),
        ("unicode",),
        "invalid_output",
        "Its grammar for a schema does not keep to a `const` beyond ASCII: such an answer is failed (`invalid_output`).",
    ),
    Limit(
        ("vllm",),
        ("unicode",),
        "incomplete",
        "Its grammar for a schema allows any blanks: the demo model writes blanks until it is cut off (`incomplete`).",
        apis=("chat",),
    ),
    Limit(
        ("llama_cpp_python",),
        ("image refused",),
        "can only concatenate str",
        "A picture for a model without a projector is an error of Python there, which is passed on. With `images = false` of the"
        " model it is a 400 that says why.",
    ),
    Limit(
        ("transformers",),
        ("forced call", "required call", "custom tool"),
        "no call; completed",
        "It ignores `tool_choice`: an answer without the call is named in the log, and in `x-antiphon-ignored` where it does not"
        " stream.",
    ),
    Limit(
        ("transformers",),
        ("unicode",),
        "invalid_output",
        "It ignores `response_format`; the schema is told in the prompt, and an answer that breaks it is failed"
        " (`invalid_output`).",
    ),
    Limit(
        ("transformers",),
        ("overflow",),
        "incomplete",
        "It knows no overflow: beyond the window the model goes on, and writes nonsense.",
    ),
    Limit(
        ("transformers",),
        ("logprobs",),
        "ignored: top_logprobs",
        "It gives no logprobs: they are named in `x-antiphon-ignored`.",
        apis=("chat",),
        modes=("whole", "streamed"),
    ),
    Limit(
        ("transformers",),
        ("logprobs",),
        "no logprobs",
        "It gives no logprobs: they are named in `x-antiphon-ignored`.",
        apis=("chat",),
        modes=("background", "WebSocket"),
    ),
    Limit(("transformers",), ("logprobs",), "no logprobs", "It gives no logprobs.", apis=("responses",)),
    Limit(
        ("transformers",),
        ("stop strings",),
        "Hello there my",
        "It ends the answer with the stop string, instead of before it.",
        apis=("chat",),
    ),
)


def limit_of(engine: str, api: str, feature: str, mode: str) -> Limit | None:
    """Return the limit that covers a feature in a mode."""
    return next((limit for limit in LIMITS if limit.covers(engine, api, feature, mode)), None)
