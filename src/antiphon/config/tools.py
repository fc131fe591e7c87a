"""Tables of settings of what the server does itself: its tools (`[tools.…]`), decisions (`[decisions]`)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from antiphon.config.tables import SECRET, Settings
from antiphon.config.web_search import WebSearchConfig


class FileSearchConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """File search and vector stores."""

    enabled: Annotated[
        bool, Meta(description="Run `file_search` for models of chat backends; vector stores are there in any case.")
    ] = True
    results: Annotated[
        int, Meta(description="Chunks that a call gives where a tool's `max_num_results` is not set.", ge=1, le=50)
    ] = 8
    chunk_tokens: Annotated[
        int, Meta(description="Tokens of a chunk where a file's `chunking_strategy` is `auto`.", ge=100, le=4096)
    ] = 800
    overlap: Annotated[
        int, Meta(description="Tokens that a chunk repeats of the one before; at most half of `chunk_tokens`.", ge=0)
    ] = 400
    embeddings: Annotated[
        str,
        Meta(
            description="Model of embeddings, for search by words and meaning together: BACKEND/MODEL of a backend that has"
            " /v1/embeddings, or engine/FILE.gguf, engine/OWNER/REPO[:QUANT] for the embedded engine. Empty: by words alone."
        ),
    ] = ""
    embedding_batch: Annotated[
        int, Meta(description="Chunks that the model of embeddings gets at once.", ge=1, le=512)
    ] = 32
    embedding_text_prefix: Annotated[
        str, Meta(description="What the model of embeddings wants before a text, such as `passage: `.", max_length=256)
    ] = ""
    embedding_query_prefix: Annotated[
        str, Meta(description="What it wants before a query, such as `query: `.", max_length=256)
    ] = ""
    rerank: Annotated[
        str,
        Meta(
            description="Reranker, which orders what a search has found: BACKEND/MODEL of a backend that has /v1/rerank."
            " Empty: none."
        ),
    ] = ""
    rewrite: Annotated[
        str,
        Meta(
            description="Model, by its id, that rewrites the query of a search that asks for it (`rewrite_query`). Empty: none;"
            " such a query is searched as it is, and x-antiphon-ignored says so."
        ),
    ] = ""
    ingest_workers: Annotated[
        int, Meta(description="Files that a server process makes chunks of at the same time.", ge=1, le=16)
    ] = 1
    max_file: Annotated[int, Meta(description="Maximum size of a file in a vector store in bytes.", ge=1024)] = 64 << 20
    max_store_chunks: Annotated[int, Meta(description="Maximum number of chunks of a vector store.", ge=1)] = 200_000
    max_store_files: Annotated[int, Meta(description="Maximum number of files of a vector store.", ge=1)] = 10_000
    max_stores: Annotated[int, Meta(description="Maximum number of vector stores of an owner.", ge=1)] = 1_000


class CodeInterpreterConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """The code interpreter and its containers."""

    sandbox: Annotated[
        Literal["auto", "bwrap", "seatbelt", "sandlock", "docker", "podman", "mcp", "off"],
        Meta(
            description="What encloses the code: `auto` takes bubblewrap (Linux) or sandbox-exec (macOS); `sandlock` needs"
            " no name spaces (the package sandlock, docs/security.md); `mcp` is the `tool` of an MCP server. Whatever it is has"
            " to pass its probes on this machine, else the tool is off."
        ),
    ] = "auto"
    tool: Annotated[
        str,
        Meta(
            description="What runs the code where `sandbox` is `mcp`: `LABEL/TOOL`, an entry of `mcp_servers` and its tool that"
            " takes Python and keeps its variables between calls of a connection."
        ),
    ] = ""
    image: Annotated[
        str, Meta(description="The image of containers of `docker` and `podman`, with a `python3`; it is not pulled.")
    ] = "python:3.12-slim"
    runtime: Annotated[str, Meta(description="The engine's runtime for them, such as runsc; empty: its own.")] = ""
    python: Annotated[
        str,
        Meta(
            description="The Python inside, such as that of a virtual environment with numpy and matplotlib. Empty: the server's"
            " own where the sandbox can reach it, else the system's."
        ),
    ] = ""
    memory: Annotated[
        Literal["1g", "4g", "16g", "64g"],
        Meta(description="The most memory of a container; `memory_limit` may ask for less."),
    ] = "1g"
    disk: Annotated[int, Meta(description="Bytes that the files of a container may have.", ge=1 << 20)] = 256 << 20
    processes: Annotated[int, Meta(description="Processes and threads of a container.", ge=8, le=4096)] = 64
    call_seconds: Annotated[float, Meta(description="Seconds that one call may take.", gt=0, le=3600)] = 60.0
    idle_minutes: Annotated[
        int, Meta(description="Minutes without use after which a container expires with its files.", ge=1, le=10_080)
    ] = 20
    per_owner: Annotated[
        int, Meta(description="Containers of an owner that run at the same time in a process.", ge=1)
    ] = 4
    total: Annotated[int, Meta(description="Containers that run at the same time in a process.", ge=1)] = 16
    max_containers: Annotated[int, Meta(description="Maximum number of containers of an owner.", ge=1)] = 100


class ImageGenerationConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """Pictures by a server of images; off until one is named."""

    backend: Annotated[
        str, Meta(description="The backend whose `/images/generations` makes pictures, with its address and key.")
    ] = ""
    url: Annotated[str, Meta(description="Base URL of another server of images, such as http://127.0.0.1:8081/v1.")] = (
        ""
    )
    key: Annotated[str, Meta(description="Key for that server.", extra=SECRET)] = ""
    model: Annotated[str, Meta(description="The model that is asked; empty: the server's own choice.")] = ""
    models: Annotated[
        list[str],
        Meta(description="Further models, which the declaration of a request may name; any other is not used."),
    ] = msgspec.field(default_factory=list)
    timeout: Annotated[float, Meta(description="Seconds that a picture may take.", gt=0, le=3600)] = 180.0


class ToolsConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """Tools that the server runs itself."""

    code_interpreter: Annotated[CodeInterpreterConfig, Meta(description="The code interpreter and its containers.")] = (
        msgspec.field(default_factory=CodeInterpreterConfig)
    )
    file_search: Annotated[FileSearchConfig, Meta(description="File search and vector stores.")] = msgspec.field(
        default_factory=FileSearchConfig
    )
    image_generation: Annotated[ImageGenerationConfig, Meta(description="Pictures by a server of images.")] = (
        msgspec.field(default_factory=ImageGenerationConfig)
    )
    web_search: Annotated[WebSearchConfig, Meta(description="Web search.")] = msgspec.field(
        default_factory=WebSearchConfig
    )


class CalibrationConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """How probabilities of some models are to be believed; the first table that fits counts. See docs/decisions-api.md."""

    models: Annotated[list[str], Meta(description="Models by id, patterns such as qwen*; empty: all.")] = []
    reading: Annotated[
        Literal["logprobs", "verbalised", "votes", "any"],
        Meta(description="How the probabilities came about: see `fallback` above; `any`: in whatever way."),
    ] = "any"
    temperature: Annotated[
        float, Meta(description="Above 1 probabilities become more even, below 1 more certain.", gt=0, le=100)
    ] = 1.0
    bias: Annotated[
        float,
        Meta(description="Added to the log-odds of the first of two options: of true, of a predicate.", ge=-20, le=20),
    ] = 0.0


class DecisionsConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """`/v1/decisions` and `/v1/systemone`."""

    fallback: Annotated[
        Literal["verbalised", "votes", "off"],
        Meta(
            description="Where a backend gives no log-probabilities: `verbalised`: the model tells probabilities in words;"
            " `votes`: it answers `samples` times, and answers are counted; `off`: 400."
        ),
    ] = "verbalised"
    samples: Annotated[
        int,
        Meta(
            description="Answers of a question, where there are no log-probabilities; 0: 1 or, of `votes`, 5.",
            ge=0,
            le=50,
        ),
    ] = 0
    concurrent: Annotated[
        int,
        Meta(description="Model calls of an owner's decisions at the same time, in a server process.", ge=1, le=256),
    ] = 16
    timeout: Annotated[
        float, Meta(description="Seconds for all questions of a request; those without an answer fail then.", gt=0)
    ] = 300.0
    native: Annotated[
        list[str],
        Meta(
            description="Models by id, patterns such as gpt-6-luna*, whose backend has /v1/decisions itself and is asked there."
        ),
    ] = []
    calibration: Annotated[dict[str, CalibrationConfig], Meta(description="Calibrations, by a name of yours.")] = {}
