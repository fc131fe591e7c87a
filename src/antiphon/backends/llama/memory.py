"""Memory that a model takes, read off its file before it is loaded; memory that this machine has."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from antiphon.backends.llama.gguf import GgufInfo

F16 = 2
BATCH = 512
"""Tokens of a prompt that llama.cpp works on in one step."""

PROMPT_CACHE = 64 * 1024 * 1024
"""What prompts of earlier requests may take beside the slots (`ChildParams.cache_mib`)."""

PROCESS = 48 * 1024 * 1024
"""Python and llama.cpp themselves."""

SHARE = 0.9
"""How much of a machine's memory models take where no setting says."""

CGROUP = Path("/sys/fs/cgroup")


def needed_memory(info: GgufInfo, weights: int, *, context: int, parallel: int, embeds: bool = False) -> int:
    """Return about how many bytes a model takes when it is loaded: weights, KV cache for all its slots, buffers.

    `weights` are the bytes of its files, `context` the tokens of each of the `parallel` slots.
    """
    architecture = info.text("general.architecture")

    def number(name: str, otherwise: int) -> int:
        return info.at_most(f"{architecture}.{name}") or otherwise

    width = number("embedding_length", 4096)
    heads = number("attention.head_count", 1)
    kv_heads = number("attention.head_count_kv", heads)
    head = max(width // max(heads, 1), 1)
    a_token = kv_heads * (number("attention.key_length", head) + number("attention.value_length", head)) * F16
    cache = context * parallel * number("block_count", 1) * a_token
    vocabulary = info.lengths.get("tokenizer.ggml.tokens", number("vocab_size", 0))
    batch = context if embeds else BATCH
    buffers = batch * 4 * (vocabulary + 8 * width + 3 * number("feed_forward_length", 4 * width))
    return weights + cache + buffers + PROMPT_CACHE + PROCESS


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """How much memory loaded models may take together. `free`: what the machine has left, None where a setting decides alone."""

    total: int
    free: Callable[[], int] | None = None


def memory_bound(setting: int) -> Bound:
    """Return the bound that a setting names; 0: most of the machine's memory, and no more than is free."""
    return Bound(total=setting) if setting else Bound(total=int(machine_memory() * SHARE), free=free_memory)


def machine_memory() -> int:
    """Return the machine's memory in bytes, or what the container may have of it."""
    own = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([own, *filter(None, [_cgroup_limit()])])


def free_memory() -> int:
    """Return the bytes that can be had without swapping; where the system does not tell, all that it has."""
    left = [machine_memory()]
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        left.append(int(lines["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError, ValueError):
        pass
    limit, used = _cgroup_limit(), _cgroup_use()
    if limit and used is not None:
        left.append(max(limit - used, 0))
    return min(left)


def _cgroup_limit() -> int:
    """Return the container's limit, 0 where there is none."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        limit = _number(CGROUP / name)
        if limit is not None:
            return limit if limit < 2**60 else 0
    return 0


def _cgroup_use() -> int | None:
    """Return what the container holds, without the pages of files that can be dropped."""
    used = _number(CGROUP / "memory.current")
    try:
        stat = dict(line.split(" ", 1) for line in (CGROUP / "memory.stat").read_text().splitlines())
        return None if used is None else used - int(stat.get("inactive_file", 0))
    except (OSError, ValueError):
        return used


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
