"""Tables of settings of the tools that the server runs: `[tools.…]`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from antiphon.config.tables import Settings
from antiphon.config.web_search import WebSearchConfig


class FileSearchConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """File search and vector stores."""

    enabled: Annotated[
        bool, Meta(description="Run `file_search` for models of chat backends; vector stores are there in any case.")
    ] = True
    chunk_tokens: Annotated[
        int, Meta(description="Tokens of a chunk where a file's `chunking_strategy` is `auto`.", ge=100, le=4096)
    ] = 800
    overlap: Annotated[
        int, Meta(description="Tokens that a chunk repeats of the one before; at most half of `chunk_tokens`.", ge=0)
    ] = 400
    ingest_workers: Annotated[
        int, Meta(description="Files that a server process makes chunks of at the same time.", ge=1, le=16)
    ] = 1
    max_file: Annotated[int, Meta(description="Maximum size of a file in a vector store in bytes.", ge=1024)] = 64 << 20
    max_store_chunks: Annotated[int, Meta(description="Maximum number of chunks of a vector store.", ge=1)] = 200_000
    max_store_files: Annotated[int, Meta(description="Maximum number of files of a vector store.", ge=1)] = 10_000
    max_stores: Annotated[int, Meta(description="Maximum number of vector stores of an owner.", ge=1)] = 1_000


class ToolsConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """Tools that the server runs itself."""

    file_search: Annotated[FileSearchConfig, Meta(description="File search and vector stores.")] = msgspec.field(
        default_factory=FileSearchConfig
    )
    web_search: Annotated[WebSearchConfig, Meta(description="Web search.")] = msgspec.field(
        default_factory=WebSearchConfig
    )
