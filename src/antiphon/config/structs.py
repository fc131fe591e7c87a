"""Every setting once: its name, its default, its one-line meaning.

A setting comes from a flag, else from the environment (`ANTIPHON_…`), else from one TOML file, else from here.
`${NAME}` in a value of the file stands for an environment variable.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from antiphon.config.keys import JwtConfig, KeyConfig, OwnerConfig
from antiphon.config.sections.engine import EngineConfig
from antiphon.config.sections.guards import GuardConfig
from antiphon.config.sections.listening import ListeningConfig
from antiphon.config.tables import (
    SECRET,
    BackendConfig,
    LeakConfig,
    McpServerConfig,
    ModelConfig,
    PromptConfig,
    WebhookConfig,
)
from antiphon.config.tools import DecisionsConfig, ToolsConfig

DEFAULT_STORE = "~/.local/share/antiphon/antiphon.db"
"""Where responses are kept; `$XDG_DATA_HOME` replaces `~/.local/share`."""


class Config(ListeningConfig, kw_only=True, forbid_unknown_fields=True):
    """All settings of a server."""

    workers: Annotated[int, Meta(description="Number of worker processes.", ge=1)] = 1
    api_keys: Annotated[
        list[str], Meta(description="API keys of clients; empty: no key needed, on loopback only.", extra=SECRET)
    ] = []
    admin_keys: Annotated[
        list[str],
        Meta(description="API keys with every scope, `admin` included: for the operator.", extra=SECRET),
    ] = []
    require_key: Annotated[
        bool,
        Meta(
            description="Refuse requests without a key even if none is configured: keys come from the store (see docs/keys.md)."
        ),
    ] = False
    keys: Annotated[dict[str, KeyConfig], Meta(description="API keys with scopes and limits, by a name of yours.")] = {}
    owners: Annotated[
        dict[str, OwnerConfig],
        Meta(
            description="Limits of owners, of all their keys together, by name; `*`: of each owner that is not named."
        ),
    ] = {}
    default_limits: Annotated[
        list[str],
        Meta(
            description="Limits of new keys of the store that are given none, such as `60 requests/min`: see docs/keys.md."
        ),
    ] = []
    jwt: Annotated[JwtConfig | None, Meta(description="Identity provider whose tokens are accepted as keys.")] = None
    store: Annotated[
        str, Meta(description="Store of responses: path of an SQLite file, URL of a PostgreSQL database, or `memory`.")
    ] = DEFAULT_STORE
    store_default: Annotated[bool, Meta(description="Default of the request field `store`.")] = True
    store_log_limit: Annotated[
        int,
        Meta(
            description="Maximum size in bytes of an SQLite store's write-ahead log (WAL), which grows while another program"
            " reads the file; beyond, writes are refused. 0: no limit.",
            ge=0,
        ),
    ] = 1 << 30
    store_days: Annotated[float, Meta(description="Retention of responses in days; 0: for ever.", ge=0)] = 30.0
    event_days: Annotated[
        float,
        Meta(description="Retention of event logs of background responses in days; 0: as long as the response.", ge=0),
    ] = 0.0
    usage_days: Annotated[
        float, Meta(description="Retention of usage, which `antiphon usage` sums up, in days; 0: for ever.", ge=0)
    ] = 400.0
    unknown_fields: Annotated[
        Literal["forward", "ignore", "reject"],
        Meta(description="Unknown request fields: `forward` to the backend, `ignore`, or `reject` with 400."),
    ] = "forward"
    unsupported_parameters: Annotated[
        Literal["adapt", "refuse"],
        Meta(
            description="Parameters that a model cannot honour, such as reasoning.effort, and declared tools that nobody runs,"
            " such as a web_search that is off: `adapt`: leave out or use the nearest value, named in x-antiphon-ignored;"
            " `refuse`: 400."
        ),
    ] = "adapt"
    open_responses_names: Annotated[
        bool, Meta(description="Name reasoning events as Open Responses does (response.reasoning.delta).")
    ] = False
    instructions_limit: Annotated[
        int, Meta(description="Maximum length of `instructions` in characters; 0: no limit.", ge=0)
    ] = 10_000_000
    max_items: Annotated[
        int, Meta(description="Maximum number of items of a request, including its history and references.", ge=1)
    ] = 10_000
    max_tools: Annotated[
        int, Meta(description="Maximum number of tools of a request, including those in namespaces.", ge=1)
    ] = 4_096
    max_body: Annotated[
        int, Meta(description="Maximum size of a request body in bytes, before and after decompression.", ge=1)
    ] = 16 * 1024 * 1024
    max_upload: Annotated[
        int, Meta(description="Maximum size of an uploaded file in bytes, also of one that comes in parts.", ge=1)
    ] = 512 * 1024 * 1024
    owner_file_bytes: Annotated[
        int,
        Meta(description="Maximum bytes of all uploaded files of an owner, with those that are being uploaded.", ge=1),
    ] = 16 * 1024 * 1024 * 1024
    owner_files: Annotated[int, Meta(description="Maximum number of uploaded files of an owner.", ge=1)] = 100_000
    max_form: Annotated[
        int,
        Meta(
            description="Maximum size of a form that is passed on to a backend (/v1/audio, /v1/images), in bytes.", ge=1
        ),
    ] = 32 * 1024 * 1024
    max_image: Annotated[
        int, Meta(description="Maximum size of an image or other media file fetched for a backend, in bytes.", ge=1)
    ] = 20 * 1024 * 1024
    header_timeout: Annotated[
        float, Meta(description="Timeout in seconds for a client to send headers and body.", gt=0)
    ] = 60.0
    head_hold: Annotated[
        float,
        Meta(description="Seconds that a stream's response headers wait for the backend to accept the request.", ge=0),
    ] = 5.0
    keepalive: Annotated[
        float, Meta(description="Interval of keepalive events in a silent stream, in seconds.", gt=0)
    ] = 10.0
    shutdown_grace: Annotated[
        float, Meta(description="Graceful shutdown: seconds that running streams may take to end.", ge=0)
    ] = 30.0
    websocket_minutes: Annotated[
        float, Meta(description="Maximum duration of a WebSocket connection in minutes.", gt=0)
    ] = 60.0
    websocket_compression: Annotated[
        bool,
        Meta(
            description="Offer WebSocket compression (permessage-deflate); decompression takes 3.4 ms of the event loop per MiB."
        ),
    ] = False
    websocket_max_message: Annotated[
        int, Meta(description="Maximum size of a WebSocket message in bytes, decompressed.", ge=1024)
    ] = 8 * 1024 * 1024
    websocket_queue: Annotated[
        int, Meta(description="Maximum bytes of messages waiting or running on a WebSocket connection.", ge=1024)
    ] = 32 * 1024 * 1024
    websocket_memory: Annotated[
        int,
        Meta(
            description="Maximum bytes of responses that a WebSocket connection keeps in memory; the oldest are dropped.",
            ge=1024,
        ),
    ] = 64 * 1024 * 1024
    websocket_owner_bytes: Annotated[
        int, Meta(description="Maximum bytes that an owner's WebSocket connections keep in each process.", ge=1024)
    ] = 256 * 1024 * 1024
    request_owner_bytes: Annotated[
        int,
        Meta(
            description="Maximum bytes of memory that an owner's running requests may use in each process: bodies, histories,"
            " files. Further ones get 429.",
            ge=1024,
        ),
    ] = 256 * 1024 * 1024
    request_bytes: Annotated[
        int,
        Meta(
            description="Maximum bytes of memory for the running requests of all owners; further ones get 503.", ge=1024
        ),
    ] = 1024 * 1024 * 1024
    unread_owner_bytes: Annotated[
        int,
        Meta(
            description="Maximum bytes of answers that an owner's clients have not read yet, in each process; beyond, the"
            " connection that waits longest is closed. 0: no limit.",
            ge=0,
        ),
    ] = 256 * 1024 * 1024
    recall_bytes: Annotated[
        int,
        Meta(
            description="Maximum bytes of reasoning that each process remembers by the ids of calls, for clients that send"
            " calls back without it. Reasoning of stored responses is also found in the store. 0: it is not given back.",
            ge=0,
        ),
    ] = 64 * 1024 * 1024
    prompt_memory_bytes: Annotated[
        int,
        Meta(
            description="Maximum bytes of prompts that each process remembers for an hour, to tell why a backend's prompt cache"
            " was not used. 0: requests are compared with stored responses only, and misses are not counted.",
            ge=0,
        ),
    ] = 32 * 1024 * 1024
    input_memory_bytes: Annotated[
        int,
        Meta(
            description="Maximum bytes of inputs that each process remembers for an hour: a request that repeats one of its"
            " owner's and goes on, as agents' do, is decoded from where it goes on. 0: each is decoded as a whole.",
            ge=0,
        ),
    ] = 32 * 1024 * 1024
    capture_bytes: Annotated[
        int,
        Meta(
            description="Maximum bytes of requests to backends that each process keeps in memory, so that operators see what was"
            " sent for the last stored responses (docs/response-log.md). 0: none.",
            ge=0,
        ),
    ] = 8 * 1024 * 1024
    background_lease: Annotated[
        float,
        Meta(
            description="Lease of a background response in seconds: without a heartbeat, another server takes over.",
            gt=0,
        ),
    ] = 15.0
    background_rerun: Annotated[
        bool,
        Meta(
            description="Interrupted background responses that have sent output go on from their last tool boundary, so that a"
            " model call, and a tool call in progress, may be made twice; false: they end `failed`."
        ),
    ] = False
    background_per_owner: Annotated[
        int,
        Meta(
            description="Maximum number of concurrent background responses of an owner in each process; others are queued.",
            ge=1,
        ),
    ] = 100
    background_running: Annotated[
        int, Meta(description="Maximum number of concurrent background responses of all owners in each process.", ge=1)
    ] = 1000
    background_queue_per_owner: Annotated[
        int,
        Meta(
            description="Maximum number of queued background responses of an owner in each process; further ones get 429.",
            ge=0,
        ),
    ] = 1000
    batch_running: Annotated[
        int, Meta(description="Maximum number of requests of batches that each process works on at once.", ge=1)
    ] = 8
    batch_requests: Annotated[int, Meta(description="Maximum number of requests of a batch.", ge=1)] = 50_000
    batch_bytes: Annotated[int, Meta(description="Maximum size of a batch's input file, in bytes.", ge=1)] = (
        200 * 1024 * 1024
    )
    batches_per_owner: Annotated[
        int, Meta(description="Maximum number of batches of an owner that have not ended; further ones get 429.", ge=1)
    ] = 100
    structured_output: Annotated[
        Literal["check", "repair", "off"],
        Meta(
            description="Answers that do not match a strict JSON Schema: `check` fails them, `repair` asks the model once more"
            " (text is held back until checked), `off` lets them pass."
        ),
    ] = "check"
    schema_limit: Annotated[
        int, Meta(description="Maximum size of a JSON Schema in `text.format`, in bytes.", ge=1)
    ] = 1024 * 1024
    schema_timeout: Annotated[
        float,
        Meta(description="Timeout in seconds to compile a JSON Schema; checking an answer may take twice that.", gt=0),
    ] = 2.0
    schema_memory: Annotated[
        int, Meta(description="Maximum memory of a JSON Schema checking process in MiB.", ge=128)
    ] = 256
    schema_processes: Annotated[
        int, Meta(description="Maximum number of JSON Schema checking processes; an owner uses one at a time.", ge=1)
    ] = 2
    websocket: Annotated[bool, Meta(description="Enable WebSocket mode.")] = True
    url_guard_allow: Annotated[
        list[str],
        Meta(description="Private networks (CIDR) and hosts (a name, or *.domain) that URLs in requests may point to."),
    ] = []
    secret: Annotated[
        str,
        Meta(
            description="Secret that encrypts reasoning, compactions, job secrets; empty: generated, kept beside the store.",
            extra=SECRET,
        ),
    ] = ""
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Minimum log level.")] = "info"
    log_format: Annotated[Literal["text", "json"], Meta(description="Log format: text lines or JSON.")] = "text"
    recent_requests: Annotated[
        int, Meta(description="Number of recent requests listed by /admin/requests, without their texts.", ge=0)
    ] = 200
    audit: Annotated[
        Literal["all", "changes", "off"],
        Meta(description="Audit log: `all`, `changes` (without reads of operators), `off`: see docs/keys.md."),
    ] = "all"
    audit_days: Annotated[
        int, Meta(description="Number of days that entries of the audit log are kept, 0 for ever.", ge=0)
    ] = 400
    access_log: Annotated[bool, Meta(description="Access log: a line for each request, at level `info`.")] = True
    metrics: Annotated[
        Literal["key", "open", "off"],
        Meta(description="Access to /metrics: `key` with scope `admin`, `open` to all, `off`."),
    ] = "key"
    metrics_by_owner: Annotated[
        bool, Meta(description="Answers and tokens by owner and key in /metrics: owners' names are then in it.")
    ] = False
    otlp_endpoint: Annotated[
        str, Meta(description="Traces: OTLP/HTTP endpoint, such as http://127.0.0.1:4318; empty: no traces.")
    ] = ""
    retries: Annotated[
        int, Meta(description="Number of retries over a model's backends, before the first token.", ge=0, le=5)
    ] = 1
    mcp_servers: Annotated[dict[str, McpServerConfig], Meta(description="MCP servers by label.")] = {}
    guards: Annotated[
        dict[str, GuardConfig],
        Meta(description="Guards of requests and answers, by a name of yours: see docs/guardrails.md."),
    ] = {}
    mcp_timeout: Annotated[float, Meta(description="Timeout of an MCP call in seconds.", gt=0)] = 60.0
    mcp_progress_timeout: Annotated[
        float,
        Meta(description="Maximum time of an MCP call in seconds whose server reports progress.", gt=0),
    ] = 600.0
    mcp_total_timeout: Annotated[
        float, Meta(description="Maximum time for all MCP calls of a response in seconds.", gt=0)
    ] = 600.0
    mcp_max_answer: Annotated[
        int, Meta(description="Maximum size of an MCP answer (a result or a list of tools) in bytes.", ge=1024)
    ] = 2 * 1024 * 1024
    mcp_max_total: Annotated[int, Meta(description="Maximum bytes of all MCP answers in a response.", ge=1024)] = (
        16 * 1024 * 1024
    )
    mcp_max_tools: Annotated[int, Meta(description="Maximum number of tools of an MCP server.", ge=1)] = 1000
    messages_models: Annotated[
        dict[str, str],
        Meta(
            description="Models that clients of `/v1/messages` mean by names that this server does not have. Keys are patterns,"
            ' of which the first that fits counts: `{"claude-haiku-*" = "small", "claude-*" = "qwen3-8b"}`.'
        ),
    ] = {}
    prompts: Annotated[dict[str, PromptConfig], Meta(description="Prompt templates by id.")] = {}
    webhooks: Annotated[
        dict[str, WebhookConfig],
        Meta(description="Webhooks for events of background responses and batches of all owners, by a name of yours."),
    ] = {}
    backends: Annotated[dict[str, BackendConfig], Meta(description="Inference servers, by name.")] = {}
    profiles: Annotated[
        dict[str, dict[str, Any]], Meta(description="Server profiles by name, for `profile`: see Profiles above.")
    ] = {}
    leaks: Annotated[
        dict[str, LeakConfig], Meta(description="Formats of tool calls in text, by name, for `leaks`: see Leaks above.")
    ] = {}
    models: Annotated[dict[str, ModelConfig], Meta(description="Models by id, beside those that backends list.")] = {}
    default_models: Annotated[
        dict[str, str],
        Meta(
            description="Models of requests that name none, by type: image_generation, moderation, rerank; default: the only one."
        ),
    ] = {}
    engine: Annotated[EngineConfig | None, Meta(description="The embedded engine.")] = None
    tools: Annotated[ToolsConfig, Meta(description="Tools that the server runs itself.")] = msgspec.field(
        default_factory=ToolsConfig
    )
    decisions: Annotated[DecisionsConfig, Meta(description="Questions with a closed set of answers.")] = msgspec.field(
        default_factory=DecisionsConfig
    )
