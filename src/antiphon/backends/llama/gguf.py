"""Reader of a GGUF file's header: its metadata and how many parameters it holds. Weights are not touched."""

from __future__ import annotations

import math
import mmap
import struct
from pathlib import Path

import msgspec

from antiphon.errors import ConfigError

Value = int | float | bool | str

LONGEST_HEADER = 128 * 1024 * 1024
"""Bytes; vocabularies of 250,000 tokens with their merges take about 20 MB."""

MOST_PAIRS = 10_000
"""Entries of the metadata; models have below 100."""

MOST_TENSORS = 200_000
MOST_STRINGS = 2_000_000
"""Strings of all arrays: tokens of a vocabulary, and their merges."""

DIMENSIONS = 8  # of a tensor; llama.cpp knows 4
LAYERS = 4096
WHOLE = frozenset((0, 1, 2, 3, 4, 5, 10, 11))
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
STRING, ARRAY = 8, 9


class GgufInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Metadata of a GGUF file; `parameters` counts this file's tensors.

    Of the metadata's arrays there are their `lengths`, and the `largest` entry of short ones of whole numbers.
    """

    metadata: dict[str, Value]
    parameters: int
    lengths: dict[str, int] = {}
    largest: dict[str, int] = {}

    def text(self, key: str) -> str:
        """Return a string of the metadata, "" where there is none."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> int | None:
        """Return a whole number of the metadata, None where there is none."""
        value = self.metadata.get(key)
        return value if isinstance(value, int) else None

    def at_most(self, key: str) -> int | None:
        """Return a whole number of the metadata, of one for each layer the largest; None where there is none."""
        return self.largest.get(key, self.number(key))

    def flag(self, key: str, default: bool) -> bool:
        """Return a flag of the metadata."""
        value = self.metadata.get(key)
        return value if isinstance(value, bool) else default


def read_gguf(path: Path) -> GgufInfo:
    """Read the header of a GGUF file, versions 2 and 3. Raises ConfigError that says what is wrong with the file."""
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise ConfigError(f"{path} is not a GGUF file.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Header(data).read()
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist.") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder, not a GGUF file.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except (struct.error, ValueError, KeyError):
        raise ConfigError(f"The header of {path} is damaged or incomplete.") from None


class _Header:
    """A cursor over the header. Raises struct.error, ValueError or KeyError for what is not one."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._end = min(len(data), LONGEST_HEADER)
        self._at = 4
        self._strings = 0

    def read(self) -> GgufInfo:
        version = self._number("<I")
        if version not in (2, 3):
            raise ValueError(version)
        tensors, pairs = self._number("<Q"), self._number("<Q")
        if tensors > MOST_TENSORS or pairs > MOST_PAIRS:
            raise ValueError(tensors, pairs)
        metadata: dict[str, Value] = {}
        lengths: dict[str, int] = {}
        largest: dict[str, int] = {}
        for _ in range(pairs):
            key, kind = self._text(), self._number("<I")
            if kind == ARRAY:
                self._array(key, lengths, largest)
            else:
                metadata[key] = self._text() if kind == STRING else self._unpack(SCALARS[kind])
        parameters = sum(self._tensor() for _ in range(tensors))
        return GgufInfo(metadata=metadata, parameters=parameters, lengths=lengths, largest=largest)

    def _unpack(self, form: str) -> int | float | bool:
        (value,) = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return value  # type: ignore[no-any-return]

    def _number(self, form: str) -> int:
        return int(self._unpack(form))

    def _text(self) -> str:
        size = self._number("<Q")
        start = self._at
        self._forward(size)
        return self._data[start : self._at].decode("utf-8", "replace")

    def _forward(self, size: int) -> None:
        self._at += size
        if self._at > self._end:
            raise ValueError(self._at)

    def _array(self, key: str, lengths: dict[str, int], largest: dict[str, int]) -> None:
        kind, count = self._number("<I"), self._number("<Q")
        lengths[key] = count
        if kind != STRING:
            start = self._at
            self._forward(count * struct.calcsize(SCALARS[kind]))
            if kind in WHOLE and 0 < count <= LAYERS:
                largest[key] = max(struct.unpack_from(f"<{count}{SCALARS[kind][1]}", self._data, start))
            return
        self._strings += count
        if self._strings > MOST_STRINGS:
            raise ValueError(count)
        for _ in range(count):
            self._forward(self._number("<Q"))

    def _tensor(self) -> int:
        self._text()
        dimensions = self._number("<I")
        if dimensions > DIMENSIONS:
            raise ValueError(dimensions)
        sizes = [self._number("<Q") for _ in range(dimensions)]
        self._forward(12)  # its type and where its weights lie
        return math.prod(sizes)
