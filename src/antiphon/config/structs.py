"""Every setting once: its name, its default, its one-line meaning.

A setting comes from a flag, else from the environment (`ANTIPHON_…`), else from one TOML file, else from here.
`${NAME}` in a value of the file stands for an environment variable.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

SECRET = {"secret": True}
MASK = "***"
MCP = "mcp"
DEFAULT_STORE = "~/.local/share/antiphon/antiphon.db"
"""Where responses are kept; `$XDG_DATA_HOME` takes the place of `~/.local/share`."""

_USERINFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")


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
    """Return a value fit for printing: secrets hidden, and a user and password inside a URL too."""
    if isinstance(value, dict):
        return {name: mask(item, secret) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [mask(item, secret) for item in value]
    if secret:
        return MASK if value else value
    return _USERINFO.sub(MASK, value) if isinstance(value, str) else value


class BackendConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """A server that makes tokens."""

    url: Annotated[str, Meta(description="Base URL, such as http://127.0.0.1:8000/v1.")]
    key: Annotated[str, Meta(description="Key sent as a bearer token.", extra=SECRET)] = ""
    api: Annotated[
        str,
        Meta(
            description="What it speaks: `chat` completions, `responses`, `scripted` (the package's own), or a kind that"
            " another package adds: see docs/embedding.md.",
            examples=["chat", "responses", "scripted"],
        ),
    ] = "chat"
    profile: Annotated[
        str, Meta(description="Kind of server: `auto`, one that is known, or one of `profiles`; see Profiles above.")
    ] = "auto"
    headers: Annotated[dict[str, str], Meta(description="Headers sent with every request.", extra=SECRET)] = {}
    options: Annotated[dict[str, Any], Meta(description="Settings of a kind that another package adds.")] = {}
    discover: Annotated[bool, Meta(description="Serve the models of its /v1/models.")] = True
    connect_timeout: Annotated[float, Meta(description="Seconds to connect.", gt=0)] = 10.0
    first_token_timeout: Annotated[
        float, Meta(description="Seconds to the first event of an answer; comments are none.", gt=0)
    ] = 600.0
    idle_timeout: Annotated[float, Meta(description="Seconds without an event in the middle of an answer.", gt=0)] = (
        300.0
    )
    finish_reason: Annotated[
        Literal["required", "optional"],
        Meta(description="Whether a streamed answer without a finish_reason was broken off, or the server sends none."),
    ] = "required"
    max_answer: Annotated[
        int, Meta(description="Largest answer in bytes, a whole stream too; larger ones are 502.", ge=1024)
    ] = 256 * 1024 * 1024
    max_connections: Annotated[int, Meta(description="Idle connections kept open.", ge=1)] = 256
    max_concurrent: Annotated[int, Meta(description="Calls at once, others wait in line; 0: no limit.", ge=0)] = 0
    max_waiting: Annotated[int, Meta(description="Calls that may wait in line; further ones get 503.", ge=0)] = 256
    wait_timeout: Annotated[float, Meta(description="Seconds that a call may wait in line.", gt=0)] = 120.0
    break_after: Annotated[
        int, Meta(description="Failures in a row after which it gets no calls for a while; 0: never.", ge=0)
    ] = 5
    break_seconds: Annotated[float, Meta(description="Seconds until one call may try it again.", gt=0)] = 10.0
    inline_images: Annotated[
        bool,
        Meta(description="Fetch images and other media of URLs here and send data; false: it fetches them itself."),
    ] = True
    check_interval: Annotated[float, Meta(description="Seconds between two looks whether it is well.", gt=0)] = 60.0


class ModelConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """A model id that clients may name."""

    backends: Annotated[list[str], Meta(description="Names of backends that serve it; several are balanced.")] = []
    name: Annotated[str, Meta(description="The backend's own name for it; default: the id.")] = ""
    fallbacks: Annotated[
        list[str], Meta(description="Ids of models that answer in its place, in order, where its backends cannot.")
    ] = []
    aliases: Annotated[list[str], Meta(description="Further ids for the same model.")] = []
    context_length: Annotated[int | None, Meta(description="Window in tokens.")] = None
    parameters_number: Annotated[str | None, Meta(description="Size shown to clients, such as 60B.")] = None
    owned_by: Annotated[str, Meta(description="Owner shown to clients.")] = "antiphon"
    created: Annotated[int, Meta(description="Unix time shown to clients.")] = 0
    responses: Annotated[bool, Meta(description="May be called through /v1/responses.")] = True
    chat_completions: Annotated[bool, Meta(description="May be called through /v1/chat/completions.")] = True
    functions: Annotated[bool, Meta(description="Can call tools.")] = True
    images: Annotated[bool, Meta(description="Takes images.")] = True
    audio: Annotated[bool, Meta(description="Takes audio.")] = False
    structured_outputs: Annotated[bool, Meta(description="Takes text.format json_schema.")] = True
    reasoning: Annotated[bool, Meta(description="Thinks before it answers.")] = True
    think: Annotated[
        Literal["auto", "off", "opened"],
        Meta(description="Inline <think>: split it off, leave it, or split when the template opened it."),
    ] = "auto"
    leaks: Annotated[
        list[Literal["hermes", "qwen_xml", "harmony", "mistral", "llama", "deepseek"]],
        Meta(description="Forms of tool calls that leak into its text and are to be rescued, beside the profile's."),
    ] = []
    roles: Annotated[
        Literal["keep", "system", "merge", "merge-first"],
        Meta(
            description="developer messages: keep; rename to system; also merge neighbours; merge all into the first."
        ),
    ] = "system"
    tokenizer: Annotated[
        str, Meta(description="Its tokenizer.json, to count tokens where the backend can't (extra `tokenizers`).")
    ] = ""
    temperature: Annotated[Annotated[float, Meta(ge=0, le=2)] | None, Meta(description="Default temperature.")] = None
    top_p: Annotated[Annotated[float, Meta(ge=0, le=1)] | None, Meta(description="Default top_p.")] = None
    max_output_tokens: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="Default max_output_tokens.")] = (
        None
    )
    reasoning_effort: Annotated[str | None, Meta(description="Default reasoning.effort.")] = None
    instructions: Annotated[str | None, Meta(description="Instructions for requests that bring none.")] = None
    extra_body: Annotated[dict[str, msgspec.Raw], Meta(description="Fields added to every backend request.")] = {}
    price_input: Annotated[float, Meta(description="Cost of a million input tokens, for budgets.", ge=0)] = 0.0
    price_cached: Annotated[
        Annotated[float, Meta(ge=0)] | None, Meta(description="The same for cached ones; default: price_input.")
    ] = None
    price_output: Annotated[float, Meta(description="Cost of a million output tokens.", ge=0)] = 0.0


class EngineConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """The embedded engine (llama.cpp)."""

    model: Annotated[str, Meta(description="FILE.gguf or hub-repo[:quant]; empty: the demo model.")] = ""
    mmproj: Annotated[str, Meta(description="FILE.gguf of the image projector.")] = ""
    context: Annotated[int, Meta(description="Window in tokens; 0: the model's own, at most 8192.", ge=0)] = 0
    threads: Annotated[int, Meta(description="CPU threads; 0: all cores.", ge=0)] = 0
    gpu_layers: Annotated[int, Meta(description="Layers on the GPU; -1: all that fit.")] = -1
    parallel: Annotated[int, Meta(description="Requests worked on at once.", ge=1)] = 4
    cache: Annotated[str, Meta(description="Folder for downloaded models.")] = "~/.cache/antiphon/models"


class McpServerConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """An MCP server that requests name by its label alone; it may be on a private address."""

    kind: Annotated[
        str, Meta(description="`mcp`, or a kind of tool server that another package adds: see docs/embedding.md.")
    ] = MCP
    options: Annotated[dict[str, Any], Meta(description="Settings of a kind that another package adds.")] = {}

    command: Annotated[str, Meta(description="Program that speaks MCP over stdio.")] = ""
    args: Annotated[list[str], Meta(description="Its arguments.", extra=SECRET)] = []
    env: Annotated[
        dict[str, str],
        Meta(description="Variables added to its environment, which is this server's without ANTIPHON_…", extra=SECRET),
    ] = {}
    url: Annotated[str, Meta(description="URL of a server over HTTP, instead of a program.")] = ""
    headers: Annotated[dict[str, str], Meta(description="Headers sent to that URL.", extra=SECRET)] = {}
    client_headers: Annotated[
        list[str], Meta(description="Headers that requests may set, such as authorization; none: all are refused.")
    ] = []
    allowed_tools: Annotated[list[str], Meta(description="Tools that may be called; none: all that it lists.")] = []


class PromptVersion(Settings, kw_only=True, forbid_unknown_fields=True):
    """One version of a prompt template; `{{name}}` in its texts is a variable of the request's."""

    instructions: Annotated[str | None, Meta(description="Instructions, unless the request brings its own.")] = None
    input: Annotated[list[dict[str, Any]], Meta(description="Items that stand before the request's own.")] = []
    model: Annotated[str | None, Meta(description="Model for requests that name none.")] = None
    temperature: Annotated[
        Annotated[float, Meta(ge=0, le=2)] | None, Meta(description="temperature, unless given.")
    ] = None
    top_p: Annotated[Annotated[float, Meta(ge=0, le=1)] | None, Meta(description="top_p, unless given.")] = None
    max_output_tokens: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="max_output_tokens, unless given.")
    ] = None
    reasoning_effort: Annotated[str | None, Meta(description="reasoning.effort, unless given.")] = None


class PromptConfig(PromptVersion, kw_only=True, forbid_unknown_fields=True):
    """A prompt template that requests name by `prompt.id`. Its own fields are the version for requests that name none."""

    version: Annotated[str, Meta(description="Name of the version that stands here itself.")] = "1"
    versions: Annotated[dict[str, PromptVersion], Meta(description="Further versions, by name.")] = {}


class WebhookConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """A receiver of events about background responses; it may be on a private address."""

    url: Annotated[str, Meta(description="Where events are posted to.")]
    secret: Annotated[str, Meta(description="Signs them: whsec_ and base64, as OpenAI's.", extra=SECRET)]
    events: Annotated[list[str], Meta(description="Types of events, such as response.failed; none: all.")] = []


class KeyConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """A client's key with rights and limits of its own."""

    key: Annotated[str, Meta(description="The key.", extra=SECRET)]
    owner: Annotated[str, Meta(description="Whom its objects belong to; default: an owner of its own.")] = ""
    scopes: Annotated[
        list[Literal["responses", "chat", "read", "admin"]], Meta(description="What it may do: see docs/keys.md.")
    ] = msgspec.field(default_factory=lambda: ["responses", "chat"])
    models: Annotated[list[str], Meta(description="Models that it may call, such as gpt-*; none: all.")] = []
    mcp_servers: Annotated[
        list[str],
        Meta(description="MCP servers that it may use, by label or URL, such as https://mcp.me/*; none: all."),
    ] = []
    limits: Annotated[list[str], Meta(description='Such as "60 requests/min" or "20 cost/month on gpt-*".')] = []


class JwtConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """An identity provider whose JSON Web Tokens are let in."""

    issuer: Annotated[str, Meta(description="The `iss` that tokens have.")]
    audience: Annotated[list[str], Meta(description="The `aud` that tokens have, one of these.")]
    jwks_url: Annotated[str, Meta(description="Where its keys are; default: asked of the issuer (OIDC).")] = ""
    key_file: Annotated[str, Meta(description="File with its public key (PEM or JWKS), instead of a URL.")] = ""
    algorithms: Annotated[list[Literal["RS256", "ES256", "EdDSA"]], Meta(description="Signatures that are taken.")] = (
        msgspec.field(default_factory=lambda: ["RS256", "ES256", "EdDSA"])
    )
    leeway: Annotated[float, Meta(description="Seconds that clocks may differ.", ge=0)] = 60.0
    owner_claim: Annotated[str, Meta(description="Claim that tells whom objects belong to.")] = "sub"
    scopes_claim: Annotated[str, Meta(description="Claim with the scopes; empty: `scopes` for everybody.")] = ""
    scopes: Annotated[
        list[Literal["responses", "chat", "read", "admin"]], Meta(description="Scopes without such a claim.")
    ] = msgspec.field(default_factory=lambda: ["responses", "chat"])
    models_claim: Annotated[str, Meta(description="Claim with the models; empty: `models` for everybody.")] = ""
    models: Annotated[list[str], Meta(description="Models without such a claim; none: all.")] = []
    mcp_servers_claim: Annotated[
        str, Meta(description="Claim with the MCP servers; empty: `mcp_servers` for everybody.")
    ] = ""
    mcp_servers: Annotated[list[str], Meta(description="MCP servers without such a claim; none: all.")] = []
    limits: Annotated[list[str], Meta(description="Limits of each owner, as in `keys`.")] = []


class Config(Settings, kw_only=True, forbid_unknown_fields=True):
    """All settings of a server."""

    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(description="Port to listen on.", ge=0, le=65535)] = 8080
    allowed_hosts: Annotated[
        list[str],
        Meta(description="Names that requests may have as Host, such as *.example.com; see docs/keys.md."),
    ] = []
    workers: Annotated[int, Meta(description="Processes that share the port.", ge=1)] = 1
    api_keys: Annotated[
        list[str], Meta(description="Keys of clients; none: open, on loopback only.", extra=SECRET)
    ] = []
    require_key: Annotated[
        bool, Meta(description="Never open: keys are those of the store too (`antiphon keys create`).")
    ] = False
    keys: Annotated[dict[str, KeyConfig], Meta(description="Further keys, with rights and limits, by a name.")] = {}
    jwt: Annotated[JwtConfig | None, Meta(description="Tokens of an identity provider.")] = None
    store: Annotated[str, Meta(description="Path of the SQLite file, URL of a PostgreSQL database, or `memory`.")] = (
        DEFAULT_STORE
    )
    store_default: Annotated[bool, Meta(description="What a request without `store` means.")] = True
    store_log_limit: Annotated[
        int,
        Meta(
            description="Bytes that an SQLite store's write-ahead log may take while another program reads the file;"
            " from there on writes are refused. 0: no limit.",
            ge=0,
        ),
    ] = 1 << 30
    store_days: Annotated[float, Meta(description="Days that responses are kept; 0: for ever.", ge=0)] = 30.0
    unknown_fields: Annotated[
        Literal["forward", "ignore", "reject"], Meta(description="Request fields that nobody knows.")
    ] = "forward"
    open_responses_names: Annotated[
        bool, Meta(description="Name reasoning events as Open Responses does (response.reasoning.delta).")
    ] = False
    instructions_limit: Annotated[int, Meta(description="Longest `instructions` in characters; 0: no limit.", ge=0)] = (
        10_000_000
    )
    max_items: Annotated[
        int, Meta(description="Most items that a request may have, its history and references included.", ge=1)
    ] = 10_000
    max_tools: Annotated[
        int, Meta(description="Most tools that a request may declare, those of namespaces included.", ge=1)
    ] = 4_096
    max_body: Annotated[int, Meta(description="Largest request body in bytes, packed or not.", ge=1)] = 16 * 1024 * 1024
    max_image: Annotated[
        int, Meta(description="Largest image or other medium that is fetched for a backend, in bytes.", ge=1)
    ] = 20 * 1024 * 1024
    header_timeout: Annotated[float, Meta(description="Seconds for a client to send head and body.", gt=0)] = 60.0
    head_hold: Annotated[
        float, Meta(description="Seconds that a stream's head waits for the backend to accept.", ge=0)
    ] = 5.0
    keepalive: Annotated[float, Meta(description="Seconds of silence before a keepalive event.", gt=0)] = 10.0
    shutdown_grace: Annotated[float, Meta(description="Seconds that streams may go on after a stop signal.", ge=0)] = (
        30.0
    )
    websocket_minutes: Annotated[float, Meta(description="Minutes that a WebSocket connection may last.", gt=0)] = 60.0
    websocket_compression: Annotated[
        bool,
        Meta(description="Offer permessage-deflate; to unpack takes 3.4 ms of the event loop per MiB."),
    ] = False
    websocket_max_message: Annotated[
        int, Meta(description="Largest WebSocket message in bytes, unpacked.", ge=1024)
    ] = 8 * 1024 * 1024
    websocket_queue: Annotated[
        int, Meta(description="Bytes of messages that may wait or run on a WebSocket connection.", ge=1024)
    ] = 32 * 1024 * 1024
    websocket_memory: Annotated[
        int,
        Meta(description="Bytes of turns that a WebSocket connection remembers; older ones are forgotten.", ge=1024),
    ] = 64 * 1024 * 1024
    websocket_owner_bytes: Annotated[
        int, Meta(description="Bytes that all WebSocket connections of an owner keep, in each process.", ge=1024)
    ] = 256 * 1024 * 1024
    request_owner_bytes: Annotated[
        int,
        Meta(
            description="Bytes that the requests of an owner which are being answered may hold in each process: bodies,"
            " histories, files. Further ones get 429.",
            ge=1024,
        ),
    ] = 256 * 1024 * 1024
    request_bytes: Annotated[
        int, Meta(description="The same for those of all owners together; further ones get 503.", ge=1024)
    ] = 1024 * 1024 * 1024
    unread_owner_bytes: Annotated[
        int,
        Meta(
            description="Bytes of answers that may wait for an owner's clients to read them, in each process; beyond,"
            " the one that waits longest is cut off. 0: no limit.",
            ge=0,
        ),
    ] = 256 * 1024 * 1024
    background_lease: Annotated[
        float, Meta(description="Seconds of silence after which a background response's server counts as dead.", gt=0)
    ] = 15.0
    background_per_owner: Annotated[
        int, Meta(description="Background responses of an owner that run at once in each process; others wait.", ge=1)
    ] = 100
    background_running: Annotated[
        int, Meta(description="Background responses of all owners that run at once in each process.", ge=1)
    ] = 1000
    background_queue_per_owner: Annotated[
        int, Meta(description="Background responses of an owner that wait in each process; further ones get 429.", ge=0)
    ] = 1000
    structured_output: Annotated[
        Literal["check", "repair", "off"],
        Meta(description="Answers that break a strict JSON Schema: fail; ask once more, holding text back; let pass."),
    ] = "check"
    schema_limit: Annotated[int, Meta(description="Largest JSON Schema of `text.format` in bytes.", ge=1)] = 1024 * 1024
    schema_timeout: Annotated[
        float, Meta(description="Seconds that a JSON Schema may take to compile; an answer's check twice that.", gt=0)
    ] = 2.0
    schema_memory: Annotated[
        int, Meta(description="MiB that a process which checks JSON Schemas may have.", ge=128)
    ] = 256
    schema_processes: Annotated[
        int, Meta(description="Processes that check JSON Schemas, at most; an owner has one at a time.", ge=1)
    ] = 2
    websocket: Annotated[bool, Meta(description="Offer WebSocket mode.")] = True
    url_guard_allow: Annotated[
        list[str],
        Meta(description="Networks (CIDR) and hosts (a name, or *.domain) that users' URLs may name although private."),
    ] = []
    secret: Annotated[
        str,
        Meta(
            description="Seals thoughts, compactions and secrets of jobs; empty: generated, kept beside the store.",
            extra=SECRET,
        ),
    ] = ""
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="What is logged.")] = "info"
    log_format: Annotated[Literal["text", "json"], Meta(description="Lines for people, or JSON for machines.")] = "text"
    recent_requests: Annotated[
        int, Meta(description="Requests that /admin/requests remembers, without their texts.", ge=0)
    ] = 200
    access_log: Annotated[bool, Meta(description="Log a line for each request, at `info`.")] = True
    metrics: Annotated[
        Literal["key", "open", "off"],
        Meta(description="Who reads /metrics: keys with the scope `admin`, everybody, nobody."),
    ] = "key"
    otlp_endpoint: Annotated[
        str, Meta(description="Where traces go (OTLP over HTTP), such as http://127.0.0.1:4318; empty: no traces.")
    ] = ""
    retries: Annotated[
        int, Meta(description="Further rounds over a model's backends, before the first token.", ge=0, le=5)
    ] = 1
    mcp_servers: Annotated[dict[str, McpServerConfig], Meta(description="MCP servers by label.")] = {}
    mcp_timeout: Annotated[float, Meta(description="Seconds for a call of an MCP server.", gt=0)] = 60.0
    mcp_total_timeout: Annotated[
        float, Meta(description="Seconds that one response may wait for MCP servers, all calls together.", gt=0)
    ] = 600.0
    mcp_max_answer: Annotated[
        int, Meta(description="Largest answer of an MCP server in bytes: a result, a list of tools.", ge=1024)
    ] = 2 * 1024 * 1024
    mcp_max_total: Annotated[
        int, Meta(description="Bytes of MCP servers' answers in one response, all together.", ge=1024)
    ] = 16 * 1024 * 1024
    mcp_max_tools: Annotated[int, Meta(description="Tools that one MCP server may list.", ge=1)] = 1000
    prompts: Annotated[dict[str, PromptConfig], Meta(description="Prompt templates by id.")] = {}
    webhooks: Annotated[dict[str, WebhookConfig], Meta(description="Receivers of events, by a name of yours.")] = {}
    backends: Annotated[dict[str, BackendConfig], Meta(description="Servers that make tokens, by name.")] = {}
    profiles: Annotated[
        dict[str, dict[str, Any]], Meta(description="Kinds of servers by name, for `profile`: see Profiles above.")
    ] = {}
    models: Annotated[dict[str, ModelConfig], Meta(description="Model ids, beside the discovered ones.")] = {}
    engine: Annotated[EngineConfig | None, Meta(description="The embedded engine.")] = None
