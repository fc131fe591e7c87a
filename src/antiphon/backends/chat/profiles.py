"""What servers and model families differ in, as data. `find` picks a profile by name, URL or owner.

What a family of models takes, whoever serves it, comes behind what its server and its settings say (`suited`).

The configuration adds others, each made from one of these: `[profiles.NAME]` (`configured_profiles`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from antiphon.backends.chat.message_order import Roles
from antiphon.backends.learning.refusal_words import UNSIGNED
from antiphon.config.reading import nearest, quoted
from antiphon.config.values import convert
from antiphon.core.text.leaks import CHANNELS
from antiphon.core.tools.call_ids import IdForm
from antiphon.core.tools.schema_subsets import Subset
from antiphon.errors import ConfigError

ThinkPolicy = Literal["auto", "off", "opened", "unsure"]
StreamPolicy = Literal["as_asked", "always", "never"]

MARKED_LEAKS = tuple(
    """
    hermes glm qwen_xml minimax claude kimi kimi_k3 deepseek mistral granite nemotron longcat internlm lfm olmo gemma
    gpt_oss step
    """.split()
)
"""Families of leaked calls whose openers are no other text. They are looked for wherever calls are wanted."""

ENGINE_LEAKS = (*MARKED_LEAKS, "llama", "pythonic", "bare", "gemma_code", "phi")
"""The same with those that need no opener: what engines give that do not know their model's format."""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """How one kind of server is spoken to.

    `effort`: where reasoning.effort goes. `efforts`: the values the server takes, weakest first; empty: any.
    `reasoning_out`: the message field in which earlier thoughts are sent back; "" where the server refuses or ignores it.
    `needs_reasoning`: it refuses an assistant's message without thoughts: a blank stands for those that are not there.
    `call_signature`: the thought signature for calls that come without one, from another model or a client that lost it.
    `response_format`: which of its types the server takes. `grammar`: its own constrained decoding, if it has any.
    `forced_calls`: whether a named or required call is obeyed, or has to be brought about by a schema for the answer.
    `format_beside_tools`: whether tools can still be called while `response_format` constrains the answer.
    `forward`: request fields beyond the common ones that the server knows. `share_reasoning`: where it counts no
    reasoning tokens, their share of the output is estimated. `drop`: request fields that are never sent, by the server's
    names. `stream`: whether the server is asked for a stream, whatever the client wants. `roles`, `call_ids`,
    `strict_schema`: what its models take where their settings do not say. `tool_images`: outputs of tools may hold images,
    which else follow as a user's. `think`: where its models' thoughts begin, if their settings do not say. `tool_names`:
    outputs of tools are asked for the function's name. `top_k`: it knows that setting. `prefill`: how an answer goes on where a
    last message of the assistant's ends: by itself (`native`), by `continue_final_message`, or by a field of that message; ""
    where it cannot. `thinking_budget`: the field that bounds the tokens of thoughts, "" where there is none. `base`: of a
    configured profile, the known one that it was made from.
    """

    name: str
    base: str = ""
    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    effort: Literal["reasoning_effort", "enable_thinking", "both", "reasoning", "none"] = "reasoning_effort"
    efforts: tuple[str, ...] = ()
    reasoning_out: Literal["reasoning_content", "reasoning", ""] = "reasoning_content"
    needs_reasoning: bool = False
    call_signature: str = ""
    response_format: Literal["all", "json_schema", "json_object", "object_schema", "none"] = "all"
    grammar: Literal["none", "gbnf", "structured_outputs", "sglang"] = "none"
    tool_choice_none: bool = True
    forced_calls: Literal["tool_choice", "schema"] = "tool_choice"
    format_beside_tools: bool = True
    parallel_tool_calls: bool = True
    strict: bool = True
    stream: StreamPolicy = "as_asked"
    stream_usage: bool = True
    drop: tuple[str, ...] = ()
    forward: frozenset[str] = frozenset()
    share_reasoning: bool = True
    leaks: tuple[str, ...] = MARKED_LEAKS
    roles: Roles = "auto"
    call_ids: IdForm = "auto"
    strict_schema: Subset = "auto"
    think: ThinkPolicy = "auto"
    tool_images: bool = False
    tool_names: bool = False
    top_k: bool = False
    prefill: Literal["", "native", "continue_final_message", "prefix", "partial"] = ""
    thinking_budget: str = ""

    @property
    def kind(self) -> str:
        """The known kind of server, also of a configured profile."""
        return self.base or self.name

    def streams(self, wanted: bool) -> bool:
        """Tell whether the server is asked for a stream, for a client that wants one or not."""
        return wanted if self.stream == "as_asked" else self.stream == "always"

    def changed(
        self, drop: Sequence[str] = (), efforts: Sequence[str] = (), stream: str = "", **others: Any
    ) -> Profile:
        """Return the profile with what is configured or known of a model; empty values change nothing."""
        if not (drop or efforts or stream or any(others.values())):
            return self
        fields = {name: value for name, value in others.items() if value}
        if stream:
            fields["stream"] = stream
        if efforts:
            fields["efforts"] = tuple(efforts)
        if drop:
            fields["drop"] = (*self.drop, *(name for name in drop if name not in self.drop))
        return msgspec.structs.replace(self, **fields)


_OPENAI_FIELDS = frozenset(
    ("prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier", "user", "verbosity", "metadata")
)
_LOW_TO_HIGH = ("low", "medium", "high")

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(name="generic", forward=frozenset(("user", "verbosity")), leaks=ENGINE_LEAKS),
        Profile(
            name="llama_cpp",
            top_k=True,
            prefill="native",
            thinking_budget="thinking_budget_tokens",
            leaks=ENGINE_LEAKS,
            effort="enable_thinking",
            grammar="gbnf",
            forced_calls="schema",
            format_beside_tools=False,
        ),
        Profile(
            name="vllm",
            top_k=True,
            prefill="continue_final_message",
            thinking_budget="thinking_token_budget",
            leaks=ENGINE_LEAKS,
            effort="both",
            efforts=_LOW_TO_HIGH,
            grammar="structured_outputs",
            format_beside_tools=False,
        ),
        Profile(
            name="sglang",
            top_k=True,
            prefill="continue_final_message",
            effort="both",
            efforts=_LOW_TO_HIGH,
            grammar="sglang",
            format_beside_tools=False,
            leaks=ENGINE_LEAKS,
        ),
        Profile(
            name="ollama",
            prefill="native",
            leaks=ENGINE_LEAKS,
            efforts=("none", *_LOW_TO_HIGH),
            reasoning_out="reasoning",
            tool_choice_none=False,
            forced_calls="schema",
            format_beside_tools=False,
        ),
        Profile(
            name="lmstudio",
            top_k=True,
            response_format="json_schema",
            forced_calls="schema",
            leaks=ENGINE_LEAKS,
        ),
        Profile(
            name="openai",
            leaks=(),
            max_tokens="max_completion_tokens",
            reasoning_out="",
            forward=_OPENAI_FIELDS,
            strict_schema="openai",
        ),
        Profile(
            name="openrouter",
            top_k=True,
            effort="reasoning",
            reasoning_out="reasoning",
            forward=frozenset(("user",)),
            strict_schema="openai",
            tool_images=True,
        ),
        Profile(name="deepseek", effort="none", needs_reasoning=True, response_format="json_object"),
        Profile(
            name="mistral",
            effort="none",
            reasoning_out="",
            stream_usage=False,
            roles="alternate",
            call_ids="short",
            prefill="prefix",
        ),
        Profile(name="gemini", strict_schema="gemini", call_signature=UNSIGNED, tool_names=True),
        Profile(
            name="moonshot",
            call_ids="counted",
            needs_reasoning=True,
            forward=frozenset(("user",)),
            strict_schema="moonshot",
            tool_names=True,
            prefill="partial",
        ),
        # It ignores response_format, tool_choice and logprobs.
        Profile(
            name="transformers",
            leaks=ENGINE_LEAKS,
            effort="both",
            efforts=_LOW_TO_HIGH,
            response_format="none",
            tool_choice_none=False,
            drop=("logprobs", "top_logprobs"),
        ),
        Profile(name="groq", reasoning_out="", max_tokens="max_completion_tokens", forward=frozenset(("user",))),
    )
}

_HOSTS = {
    "api.openai.com": "openai",
    "openai.azure.com": "openai",
    "openrouter.ai": "openrouter",
    "api.deepseek.com": "deepseek",
    "api.mistral.ai": "mistral",
    "api.groq.com": "groq",
    "generativelanguage.googleapis.com": "gemini",
    "api.moonshot.ai": "moonshot",
    "api.moonshot.cn": "moonshot",
    "api.kimi.com": "moonshot",
}
_PORTS = {11434: "ollama", 1234: "lmstudio", 30000: "sglang"}
_OWNERS = {
    "vllm": "vllm",
    "sglang": "sglang",
    "llamacpp": "llama_cpp",
    "llama.cpp": "llama_cpp",
    "library": "ollama",
    "organization_owner": "lmstudio",
}


Profiles = Mapping[str, Profile]
NO_PROFILES: Profiles = {}


def find(name: str, url: str = "", owners: Sequence[str] = (), configured: Profiles = NO_PROFILES) -> Profile | None:
    """Return the profile of that name; for `auto`, the one that the URL or the `owned_by` of its models points to.

    Returns None for a name that is neither known nor configured.
    """
    if name == "auto":
        return PROFILES[_guess(url, owners)]
    return PROFILES.get(name) or configured.get(name)


def configured_profiles(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Profile]:
    """Return the profiles of `[profiles.NAME]`: `base` names a known one, the other fields replace its own.

    Raises ConfigError.
    """
    return {name: _configured(name, table, f"profiles.{quoted(name)}") for name, table in tables.items()}


def _configured(name: str, table: Mapping[str, Any], path: str) -> Profile:
    if name in PROFILES or name == "auto":
        raise ConfigError(f"{path}: '{name}' is a built-in profile; choose another name")
    base = str(table.get("base", "generic"))
    if base not in PROFILES:
        raise ConfigError(f"{path}.base: unknown profile '{base}'{nearest(base, PROFILES)}")
    types = {field.name: field.type for field in msgspec.structs.fields(Profile) if field.name not in ("name", "base")}
    fields: dict[str, Any] = {}
    for field, value in table.items():
        if field == "base":
            continue
        if field not in types:
            raise ConfigError(f"unknown setting '{path}.{field}'{nearest(field, types)}")
        try:
            fields[field] = convert(value, types[field], text=False)
        except ValueError as error:
            raise ConfigError(f"{path}.{field}: {error}") from None
    return msgspec.structs.replace(PROFILES[base], name=name, base=base, **fields)


def _guess(url: str, owners: Sequence[str]) -> str:
    for owner in owners:
        if owner.lower() in _OWNERS:
            return _OWNERS[owner.lower()]
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "generic"
    for known, name in _HOSTS.items():
        if host == known or host.endswith("." + known):
            return name
    return _PORTS.get(port or 0, "generic")


# Families


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    """What a model takes. `auto`: the next source says it; a model's settings come first, then the profile, then the family."""

    roles: Roles = "auto"
    call_ids: IdForm = "auto"
    strict_schema: Subset = "auto"


class _Family(Policies, frozen=True, kw_only=True):
    """Models whose template or trainer wants it so. A model is of the family if one of `marks` is in its name."""

    marks: tuple[str, ...] = ()
    think: ThinkPolicy = "auto"
    leaks: tuple[str, ...] = ()


_FAMILIES = (
    _Family(
        marks=tuple("mistral mixtral ministral codestral devstral magistral pixtral mathstral voxtral".split()),
        roles="alternate",
        call_ids="short",
    ),
    _Family(marks=("kimi",), call_ids="counted"),
    _Family(marks=tuple("gemma-1 gemma-2 gemma2 gemma-3 gemma3 gemma-7b".split()), roles="user"),
    _Family(marks=("gemini",), strict_schema="gemini"),
    _Family(marks=("claude",), strict_schema="openai"),
    # Their templates open the thoughts in the prompt: where the server does not part them, the answer only closes them.
    _Family(
        marks=tuple("deepseek-r1 r1-distill qwq -thinking glm-z1 minimax-m2 exaone-deep".split()),
        think="unsure",
    ),
    # Their templates raise an error for a second system message, or leave it out.
    _Family(marks=tuple("qwen3. qwen3-vl qwen3vl gpt-oss yi-1.5".split()), roles="merge-first"),
    _Family(marks=("gpt-oss", "gpt_oss"), leaks=(CHANNELS,)),
)
_NO_FAMILY = _Family()


MOST_SUITED = 256
_suited: dict[tuple[int, int, str], tuple[Profile, Policies, Profile]] = {}
"""Profiles that were asked for, by the identities of what they are made of: to hash a profile takes longer than a request may."""


def suited(profile: Profile, settings: Policies, model: str) -> Profile:
    """Return the profile with the policies of one model, by the backend's own name of it."""
    key = id(profile), id(settings), model
    known = _suited.get(key)
    if known is not None and known[0] is profile and known[1] is settings:
        return known[2]
    found = _suit(profile, settings, model)
    if len(_suited) >= MOST_SUITED:
        _suited.clear()
    _suited[key] = profile, settings, found
    return found


def _suit(profile: Profile, settings: Policies, model: str) -> Profile:
    name = model.lower()
    families = [one for one in _FAMILIES if any(mark in name for mark in one.marks)]
    family = next((one for one in families if one.think == "auto"), _NO_FAMILY)
    found: dict[str, Any] = {}
    if profile.think == "auto" and any(one.think != "auto" for one in families):
        found["think"] = "unsure"
    leaks = tuple(leak for one in families for leak in one.leaks if leak not in profile.leaks)
    if leaks and profile.leaks:
        found["leaks"] = (*profile.leaks, *leaks)
    for field in Policies.__struct_fields__:
        for source in (family, profile, settings):
            wish = getattr(source, field)
            if wish != "auto":
                found[field] = wish
    return msgspec.structs.replace(profile, **found) if found else profile
