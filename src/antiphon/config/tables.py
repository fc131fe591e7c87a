"""Tables of settings: backends, models, MCP servers, prompts, webhooks; and their base."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from antiphon.config.apis import BACKEND_APIS

SECRET = {"secret": True}
MASK = "***"
MCP = "mcp"

_USERINFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
SECRET_QUERY = re.compile(
    r"(?<=[?&])([\w.-]{0,40}?(?:key|token|secret|sig|signature|password|code)=)([^&#\s]+)", re.IGNORECASE | re.ASCII
)
"""Fields of a URL's query that hold a secret: their name, their value."""


class Settings(msgspec.Struct):
    """A table of settings whose `repr` masks keys and passwords."""

    def __repr__(self) -> str:
        pairs = zip(msgspec.structs.fields(self), msgspec.structs.astuple(self), strict=True)
        shown = (f"{field.name}={mask(value, is_secret(field.type))!r}" for field, value in pairs)
        return f"{type(self).__name__}({', '.join(shown)})"


def is_secret(annotation: Any) -> bool:
    """Tell whether a setting's annotation marks its value as secret."""
    return any(isinstance(note, Meta) and note.extra == SECRET for note in get_args(annotation)[1:])


def mask(value: Any, secret: bool = False) -> Any:
    """Return a value fit for printing: secrets hidden, and those inside a URL too: user, password, keys of its query."""
    if isinstance(value, dict):
        return {name: mask(item, secret) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [mask(item, secret) for item in value]
    if secret:
        return MASK if value else value
    if isinstance(value, str) and "://" in value:
        return SECRET_QUERY.sub(rf"\g<1>{MASK}", _USERINFO.sub(MASK, value))
    return value


class BackendConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """An inference server."""

    url: Annotated[
        str,
        Meta(
            description="Base URL, such as http://127.0.0.1:8000/v1 or unix:/run/llama.sock:/v1; a query is sent along."
        ),
    ]
    key: Annotated[str, Meta(description="API key.", extra=SECRET)] = ""
    key_header: Annotated[
        str,
        Meta(
            description="Header of the key: `authorization`: as a bearer token; another one, such as `api-key`: as it is;"
            " `auto`: `x-api-key` for `anthropic`, `authorization` for others."
        ),
    ] = "auto"
    api: Annotated[
        str,
        Meta(
            description=f"API that the server speaks: {', '.join(api.words for api in BACKEND_APIS.values())},"
            " or a kind that another package adds: see docs/embedding.md.",
            examples=list(BACKEND_APIS),
        ),
    ] = "chat"
    profile: Annotated[
        str, Meta(description="Server profile: `auto`, a built-in one, or one of `profiles`; see Profiles above.")
    ] = "auto"
    headers: Annotated[dict[str, str], Meta(description="HTTP headers sent with every request.", extra=SECRET)] = {}
    proxy: Annotated[
        str,
        Meta(
            description="Proxy, such as http://proxy:3128 or socks5://proxy:1080; `none`; empty: that of the environment."
        ),
    ] = ""
    ca: Annotated[str, Meta(description="File with certificates (PEM) that are trusted beside the system's.")] = ""
    client_cert: Annotated[str, Meta(description="File with a client certificate and its chain (PEM).")] = ""
    client_key: Annotated[str, Meta(description="File with its private key, if not in the same file.")] = ""
    options: Annotated[dict[str, Any], Meta(description="Settings for a kind that another package adds.")] = {}
    discover: Annotated[bool, Meta(description="Serve all models that the server lists at /v1/models.")] = True
    connect_timeout: Annotated[float, Meta(description="Connection timeout in seconds.", gt=0)] = 10.0
    first_token_timeout: Annotated[
        float, Meta(description="Timeout in seconds for the first event of an answer; SSE comments do not count.", gt=0)
    ] = 600.0
    idle_timeout: Annotated[float, Meta(description="Timeout in seconds between two events of an answer.", gt=0)] = (
        300.0
    )
    finish_reason: Annotated[
        Literal["required", "optional"],
        Meta(
            description="Streamed answers without a finish_reason: `required`: fail, as incomplete; `optional`: accept."
        ),
    ] = "required"
    anthropic_version: Annotated[
        str, Meta(description="`anthropic`: header anthropic-version.", pattern=r"^[\w.-]{1,40}$")
    ] = "2023-06-01"
    anthropic_beta: Annotated[
        list[Annotated[str, Meta(pattern=r"^[\w.-]{1,100}$")]],
        Meta(description="`anthropic`: beta features of every request (header anthropic-beta)."),
    ] = []
    cache: Annotated[
        Literal["auto", "client", "off"],
        Meta(
            description="`anthropic`: prompt cache: `auto`: breakpoints behind tools, system text and the last two user"
            " messages; `client`: those that Messages clients set; `off`: none."
        ),
    ] = "auto"
    cache_ttl: Annotated[
        Literal["5m", "1h"], Meta(description="`anthropic`: how long a prompt stays cached with `cache = auto`.")
    ] = "5m"
    max_tokens: Annotated[
        int,
        Meta(
            description="`anthropic`: max_tokens of requests without a max_output_tokens; the API asks for one.", ge=1
        ),
    ] = 8192
    max_answer: Annotated[
        int, Meta(description="Maximum size of an answer or stream in bytes; larger ones fail with 502.", ge=1024)
    ] = 256 * 1024 * 1024
    max_connections: Annotated[int, Meta(description="Maximum number of idle connections kept open.", ge=1)] = 256
    max_concurrent: Annotated[
        int, Meta(description="Maximum number of concurrent calls, further ones are queued; 0: no limit.", ge=0)
    ] = 0
    max_concurrent_of: Annotated[
        Literal["process", "store"],
        Meta(
            description="Whose calls max_concurrent counts: those of each process, or of all servers on the store together."
        ),
    ] = "process"
    max_waiting: Annotated[
        int, Meta(description="Maximum number of queued calls; further ones fail with 503.", ge=0)
    ] = 256
    wait_timeout: Annotated[float, Meta(description="Maximum time in the queue in seconds.", gt=0)] = 120.0
    break_after: Annotated[
        int, Meta(description="Circuit breaker: opens after this many failures in a row; 0: never.", ge=0)
    ] = 5
    break_seconds: Annotated[
        float, Meta(description="Circuit breaker: seconds until a call probes the backend again.", gt=0)
    ] = 10.0
    inline_images: Annotated[
        bool,
        Meta(
            description="Media by URL: true: this server fetches them and sends data; false: the backend fetches them."
        ),
    ] = True
    check_interval: Annotated[float, Meta(description="Health check interval in seconds.", gt=0)] = 60.0


Score = Annotated[float, Meta(ge=0, le=1)]


class ModerationConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """How a model judges texts for /v1/moderations and guardrails."""

    by: Annotated[
        Literal["route", "classifier", "rubric"],
        Meta(
            description="`route`: the backend's /v1/moderations; `classifier`: its /classify (vLLM) or /predict (TEI); `rubric`:"
            " a chat model, which is asked for a score of each category."
        ),
    ] = "route"
    rubric: Annotated[str, Meta(description="`rubric`: what the model is told beside the categories.")] = ""
    categories: Annotated[
        dict[str, str], Meta(description="`rubric`: categories and what each means; default: OpenAI's.")
    ] = {}
    labels: Annotated[
        dict[str, str], Meta(description='Categories by the backend\'s own labels, such as toxic = "harassment".')
    ] = {}
    threshold: Annotated[
        float,
        Meta(description="Score from which on a category is flagged, unless the backend says it itself.", ge=0, le=1),
    ] = 0.5
    thresholds: Annotated[
        dict[str, Score], Meta(description="Such scores by category; they overrule the backend.")
    ] = {}


class ModelConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """A model id that clients may name."""

    backends: Annotated[
        list[str], Meta(description="Backends that serve the model, by name; load is balanced between several.")
    ] = []
    name: Annotated[str, Meta(description="Model name at the backend; default: the id.")] = ""
    fallbacks: Annotated[
        list[str], Meta(description="Fallback models by id, tried in order when the model's backends cannot answer.")
    ] = []
    aliases: Annotated[list[str], Meta(description="Other ids of the same model.")] = []
    context_length: Annotated[int | None, Meta(description="Context window in tokens.")] = None
    parameters_number: Annotated[str | None, Meta(description="Model size shown to clients, such as 60B.")] = None
    owned_by: Annotated[str, Meta(description="Owner shown to clients.")] = "antiphon"
    created: Annotated[int, Meta(description="Unix time shown to clients.")] = 0
    type: Annotated[
        Literal[
            "auto",
            "text_generation",
            "image_generation",
            "embedding",
            "rerank",
            "moderation",
            "speech",
            "transcription",
        ],
        Meta(description="What the model is for, as /v1/models says; `auto`: by its list entry or name."),
    ] = "auto"
    moderation: Annotated[ModerationConfig | None, Meta(description="How the model judges texts.")] = None
    matryoshka: Annotated[
        bool,
        Meta(description="Embeddings may be cut to fewer `dimensions` where the backend gives them whole."),
    ] = False
    responses: Annotated[bool, Meta(description="Allow calls through /v1/responses.")] = True
    chat_completions: Annotated[bool, Meta(description="Allow calls through /v1/chat/completions.")] = True
    functions: Annotated[bool, Meta(description="The model supports tools.")] = True
    images: Annotated[bool, Meta(description="The model accepts images.")] = True
    audio: Annotated[bool, Meta(description="The model accepts audio.")] = False
    structured_outputs: Annotated[bool, Meta(description="The model supports text.format json_schema.")] = True
    reasoning: Annotated[bool, Meta(description="The model supports reasoning.")] = True
    think: Annotated[
        Literal["auto", "off", "opened", "unsure"],
        Meta(
            description="Inline <think>: `auto`: to reasoning; `off`: leave it; `opened`: the template opens it; `unsure`: it "
            "may, and text is held back until a closing tag tells."
        ),
    ] = "auto"
    leaks: Annotated[
        list[str],
        Meta(description="Tool call formats to recover from the model's text, beside the profile's: see Leaks above."),
    ] = []
    roles: Annotated[
        Literal["auto", "keep", "system", "merge", "merge-first", "alternate", "user"],
        Meta(description="Order of roles that the model takes: see Roles, call ids, schemas above."),
    ] = "auto"
    call_ids: Annotated[
        Literal["auto", "plain", "short", "counted", "keep"],
        Meta(description="Form of call ids towards the backend: see Roles, call ids, schemas above."),
    ] = "auto"
    strict_schema: Annotated[
        Literal["auto", "keep", "tidy", "openai", "anthropic", "gemini", "moonshot"],
        Meta(description="Subset of JSON Schema that the backend takes: see Roles, call ids, schemas above."),
    ] = "auto"
    drop: Annotated[
        list[str],
        Meta(description="Request fields never sent to the backend, such as tool_choice; named in x-antiphon-ignored."),
    ] = []
    efforts: Annotated[
        list[str], Meta(description="Values of reasoning.effort that the model takes; others become the nearest.")
    ] = []
    thinking: Annotated[
        Literal["auto", "adaptive", "budget", "off"],
        Meta(
            description="`anthropic`: how the model thinks when an effort is asked for: `adaptive`, within a `budget` of"
            " tokens, not at all (`off`); `auto`: by its list entry or name."
        ),
    ] = "auto"
    stream: Annotated[
        Literal["as_asked", "always", "never"],
        Meta(description="Ask the backend for a stream `as_asked` by the client, `always` or `never`."),
    ] = "as_asked"
    tokenizer: Annotated[
        str,
        Meta(description="Path of its tokenizer.json, to count tokens where the backend cannot (extra `tokenizers`)."),
    ] = ""
    temperature: Annotated[Annotated[float, Meta(ge=0, le=2)] | None, Meta(description="Default temperature.")] = None
    top_p: Annotated[Annotated[float, Meta(ge=0, le=1)] | None, Meta(description="Default top_p.")] = None
    max_output_tokens: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="Default max_output_tokens.")] = (
        None
    )
    reasoning_effort: Annotated[str | None, Meta(description="Default reasoning.effort.")] = None
    instructions: Annotated[str | None, Meta(description="Default instructions.")] = None
    extra_body: Annotated[
        dict[str, msgspec.Raw], Meta(description="JSON fields added to every request to the backend.")
    ] = {}
    price_input: Annotated[float, Meta(description="Price of a million input tokens, for budgets.", ge=0)] = 0.0
    price_cached: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(description="Price of a million cached input tokens; default: price_input."),
    ] = None
    price_output: Annotated[float, Meta(description="Price of a million output tokens.", ge=0)] = 0.0


class LeakConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """A format of tool calls in a model's text."""

    shape: Annotated[
        Literal["json", "named", "markup", "pythonic", "braces"],
        Meta(
            description="`json`: objects with name and arguments; `named`: a name, then an object; `markup`: a name, then"
            " parameters in tags; `pythonic`: `f(a=1)`; `braces`: `f{a:1}`."
        ),
    ]
    opener: Annotated[str, Meta(description="What a call begins with.", min_length=2, max_length=64)]
    closer: Annotated[str, Meta(description="What it ends with; empty: where its body ends.", max_length=64)] = ""
    around: Annotated[
        list[Annotated[str, Meta(min_length=2, max_length=64)]],
        Meta(description="Markers that may stand around calls.", max_length=8),
    ] = []
    separators: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=64)]],
        Meta(description="`named`: markers between the name and the object.", max_length=8),
    ] = []
    head_end: Annotated[
        str, Meta(description="`markup`: ends the name; empty: a line's end or the next `<`.", max_length=64)
    ] = ""
    parameter: Annotated[str, Meta(description="`markup`: begins a parameter; its key follows.", max_length=64)] = ""
    key_end: Annotated[str, Meta(description="`markup`: ends the key.", max_length=64)] = ""
    value: Annotated[
        str, Meta(description="`markup`: begins the value, where it does not follow the key.", max_length=64)
    ] = ""
    value_end: Annotated[str, Meta(description="`markup`: ends the value.", max_length=64)] = ""
    attributes: Annotated[bool, Meta(description='`markup`: names stand in attributes, as `name="…"`.')] = False
    lines: Annotated[bool, Meta(description="`markup`: values stand on lines of their own.")] = False
    several: Annotated[bool, Meta(description="`json`: more calls may follow without an opener.")] = False
    quote: Annotated[
        str, Meta(description="`braces`: stands before and after strings; empty: Python's.", max_length=64)
    ] = ""


class McpServerConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """An MCP server that requests can use by its label; private addresses are allowed."""

    kind: Annotated[
        str, Meta(description="Kind of tool server: `mcp`, or one that another package adds: see docs/embedding.md.")
    ] = MCP
    options: Annotated[dict[str, Any], Meta(description="Settings for a kind that another package adds.")] = {}

    command: Annotated[str, Meta(description="Program to start, which speaks MCP over stdio.")] = ""
    args: Annotated[list[str], Meta(description="Arguments of the program.", extra=SECRET)] = []
    env: Annotated[
        dict[str, str],
        Meta(
            description="Environment variables added for the program, which gets the server's own without ANTIPHON_…",
            extra=SECRET,
        ),
    ] = {}
    url: Annotated[str, Meta(description="URL of an MCP server over HTTP, instead of a program.")] = ""
    headers: Annotated[dict[str, str], Meta(description="HTTP headers sent to that URL.", extra=SECRET)] = {}
    client_headers: Annotated[
        list[str], Meta(description="HTTP headers that requests may set, such as authorization; empty: none.")
    ] = []
    allowed_tools: Annotated[
        list[str], Meta(description="Tools that may be called; empty: all that the server lists.")
    ] = []


class PromptVersion(Settings, kw_only=True, forbid_unknown_fields=True):
    """One version of a prompt template; `{{name}}` in its texts is a variable from the request."""

    instructions: Annotated[str | None, Meta(description="Instructions, unless the request has its own.")] = None
    input: Annotated[list[dict[str, Any]], Meta(description="Input items put before the request's own.")] = []
    model: Annotated[str | None, Meta(description="Model, unless the request names one.")] = None
    temperature: Annotated[
        Annotated[float, Meta(ge=0, le=2)] | None, Meta(description="temperature, unless the request has one.")
    ] = None
    top_p: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None, Meta(description="top_p, unless the request has one.")
    ] = None
    max_output_tokens: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="max_output_tokens, unless the request has one.")
    ] = None
    reasoning_effort: Annotated[str | None, Meta(description="reasoning.effort, unless the request has one.")] = None


class PromptConfig(PromptVersion, kw_only=True, forbid_unknown_fields=True):
    """A prompt template, used by `prompt.id`. Its own fields are the version for requests without `prompt.version`."""

    version: Annotated[str, Meta(description="Name of the version that these fields are.")] = "1"
    versions: Annotated[dict[str, PromptVersion], Meta(description="Other versions, by name.")] = {}


class WebhookConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """A webhook: receives events about background responses and batches; private addresses are allowed."""

    url: Annotated[str, Meta(description="URL that events are posted to.")]
    secret: Annotated[str, Meta(description="Signing secret: whsec_ and base64, as OpenAI's.", extra=SECRET)]
    events: Annotated[list[str], Meta(description="Event types to send, such as response.failed; empty: all.")] = []
