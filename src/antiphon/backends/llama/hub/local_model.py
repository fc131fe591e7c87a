"""LocalModel: a model whose files are on this machine; names of models as people write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from antiphon.backends.llama.hub.choosing import preference

OWN, HUGGING_FACE, LLAMA_CPP = "antiphon", "huggingface", "llama.cpp"
"""The caches, by whose they are."""

HOSTS = ("https://huggingface.co/", "http://huggingface.co/", "huggingface.co/", "https://hf.co/", "hf.co/")


class LocalModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model on this machine, `name` as `owner/repo:QUANT`.

    `path` is the first part of a split model, `files` are all parts and the projector, `size` their bytes, `digest` the first
    part's SHA-256 where it is known. `default`: it is what its repository's name alone stands for.
    """

    name: str
    path: Path
    files: Sequence[Path]
    size: int
    modified: float
    cache: str
    mmproj: Path | None = None
    digest: str = ""
    default: bool = False

    @property
    def repo(self) -> str:
        return self.name.partition(":")[0]


def plain_name(name: str) -> str:
    """Return a model's name without the hub's address, which people paste along."""
    for host in HOSTS:
        if name.startswith(host):
            return name[len(host) :].strip("/")
    return name


def matching(models: Sequence[LocalModel], name: str) -> LocalModel | None:
    """Return the model of a name: whole, without its quantisation, or without its owner. Capitals do not matter."""
    wanted = plain_name(name).lower()
    for one in models:
        if one.name.lower() == wanted or str(one.path) == name:
            return one
    of_repo = [one for one in models if one.repo.lower() == wanted]
    if of_repo:
        return min(of_repo, key=lambda one: (not one.default, one.cache != OWN, preference(one.name.partition(":")[2])))
    short = [one for one in models if wanted in (_short(one.name), _short(one.repo))]
    return short[0] if len(short) == 1 else None


def _short(name: str) -> str:
    return name.rpartition("/")[2].lower()
