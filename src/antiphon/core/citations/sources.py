"""Sources: what the tools of a response have found, numbered over all its calls, so that the model's answer can cite it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

MOST_SOURCES = 1000
"""Sources that a response can cite. What is found after that is shown without a number."""

MOST_FILES = 1000
"""Files of containers that a response can cite."""

LONGEST_LABEL = 80  # characters of a source's name behind its number


class WebSource(msgspec.Struct, frozen=True, tag="url_citation"):
    """A web page. A text that cites it holds a link to it, which the annotation `url_citation` spans."""

    url: str
    title: str
    number: int = 0

    @property
    def key(self) -> str:
        """What tells it from other sources."""
        return self.url

    @property
    def label(self) -> str:
        """What stands behind its number in the text for the model."""
        return self.url


class FileSource(msgspec.Struct, frozen=True, tag="file_citation"):
    """A file. The annotation `file_citation` says where in the text it is cited; the text holds nothing of it."""

    file_id: str
    filename: str
    number: int = 0

    @property
    def key(self) -> str:
        """What tells it from other sources."""
        return f"file:{self.file_id}"

    @property
    def label(self) -> str:
        """What stands behind its number in the text for the model."""
        return self.filename


class ContainerFile(msgspec.Struct, frozen=True, tag="container_file_citation"):
    """A file in a container, cited by a link to `sandbox:PATH`, which the annotation `container_file_citation` spans."""

    container_id: str
    file_id: str
    filename: str
    path: str


NumberedSource = WebSource | FileSource
Source = WebSource | FileSource | ContainerFile


class Passage(msgspec.Struct, frozen=True):
    """A text that a tool has found, and where: the model sees it under the number of its source."""

    source: NumberedSource
    text: str = ""


class Sources:
    """The sources of one response and of its history, by number. A source that is found again keeps its number."""

    def __init__(self) -> None:
        self._numbered: dict[int, NumberedSource] = {}
        self._numbers: dict[str, int] = {}
        self._files: dict[str, ContainerFile] = {}
        self._next = 1

    def __len__(self) -> int:
        return len(self._numbered) + len(self._files)

    def load(self, sources: Iterable[Source]) -> None:
        """Add sources that were numbered earlier, the oldest first."""
        for source in sources:
            if isinstance(source, ContainerFile):
                self._add_file(source)
            elif source.number > 0 and (source.number in self._numbered or len(self._numbered) < MOST_SOURCES):
                self._numbered[source.number] = source
                self._numbers[source.key] = source.number
                self._next = max(self._next, source.number + 1)

    def find(self, number: int) -> NumberedSource | None:
        """Return the source of a number."""
        return self._numbered.get(number)

    def url(self, text: str) -> str | None:
        """Return the URL of a source that is among these, by its number or by the URL itself."""
        digits = text.strip().strip("【】[]")
        if digits.isascii() and digits.isdigit() and len(digits) < 10:
            source = self._numbered.get(int(digits))
            return source.url if isinstance(source, WebSource) else None
        return text if text in self._numbers else None

    @property
    def files(self) -> Mapping[str, ContainerFile]:
        """Files of containers, by their percent-encoded paths."""
        return self._files

    def told(self, head: str | None, passages: Sequence[Passage], files: Sequence[ContainerFile]) -> SourcedText:
        """Return a tool's text for the model, with its passages under their numbers, and its sources as they are kept."""
        pieces = [head] if head else []
        kept: dict[int, Source] = {}
        for passage in passages:
            source = self._number(passage.source)
            if source.number:
                kept[source.number] = source
            pieces.append(f"{_heading(source)}\n{_harmless(passage.text)}".rstrip())
        for file in files:
            self._add_file(file)
        parts = pieces[1:] if head else pieces
        return SourcedText("\n\n".join(pieces), (*kept.values(), *files), tuple(parts))

    def _number(self, source: NumberedSource) -> NumberedSource:
        known = self._numbers.get(source.key)
        if known is not None:
            return self._numbered[known]
        if len(self._numbered) >= MOST_SOURCES:
            return replace(source, number=0)
        numbered = replace(source, number=self._next)
        self.load((numbered,))
        return numbered

    def _add_file(self, file: ContainerFile) -> None:
        path = percent_encoded(file.path)
        if path in self._files or len(self._files) < MOST_FILES:
            self._files[path] = file


class SourcedText(msgspec.Struct, frozen=True):
    """A tool's text for the model, and the sources that are named in it. `parts`: what of it is from each passage."""

    text: str
    sources: tuple[Source, ...]
    parts: tuple[str, ...] = ()


_PLAIN = frozenset("!#$%&*+,-./:;=?@_~[]0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def percent_encoded(url: str) -> str:
    """Return a URL or path without what would end a link in a text, or a string of JSON around it. What is encoded stays so."""
    if _PLAIN.issuperset(url):
        return url
    return "".join(
        one if one in _PLAIN else "".join(f"%{byte:02X}" for byte in one.encode(errors="replace")) for one in url
    )


def _heading(source: NumberedSource) -> str:
    label = _harmless(" ".join(source.label.split()))[:LONGEST_LABEL]
    title = _harmless(" ".join(source.title.split()))[: 2 * LONGEST_LABEL] if isinstance(source, WebSource) else ""
    mark = f"【{source.number}†{label}】" if source.number else label
    return f"{mark} {title}".rstrip() if title != label else mark


def _harmless(text: str) -> str:
    """Return a text that cannot pretend to be one of the numbers: it comes from pages and files."""
    return text.replace("【", "[").replace("】", "]")
