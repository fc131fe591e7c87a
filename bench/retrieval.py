"""Search quality and cost of vector stores: `python -m bench.retrieval FOLDER [--store URL]`.

FOLDER holds the Cranfield collection: `cran.all.1400.xml`, `cran.qry.xml`, `cranqrel.trec.txt`. Without one, only costs are
measured, on made-up texts: CPU of cutting and indexing a chunk, of a search among many chunks (`--chunks`).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import tempfile
import time
from collections import defaultdict
from math import log2
from pathlib import Path

from antiphon.core.retrieval.chunking import chunked
from antiphon.core.retrieval.words import words
from antiphon.retrieval.search import Searcher, SearchTerms
from antiphon.stores.base import Store
from antiphon.stores.open import open_store
from antiphon.stores.records import Chunk, VectorFile, VectorStore

OWNER = "bench"
MOST = 1_000_000


async def filled(store: Store, id: str, files: dict[str, list[Chunk]]) -> None:
    """Put files' chunks into a vector store of their own."""
    await store.vector_stores.delete(id, OWNER)
    await store.vector_stores.create(VectorStore(id=id, owner=OWNER, created_at=1, last_active_at=1))
    entries = [VectorFile(file_id=f"{id}-{name}", filename=name, created_at=1) for name in files]
    await store.vector_stores.attach(id, OWNER, entries, most=MOST)
    while job := await store.vector_stores.claim("bench", time.time(), 60.0):
        await store.vector_stores.complete(job, files[job.file.filename], most=MOST)


def texts_of(page: str, tag: str) -> list[str]:
    """Return the texts of all elements of a name."""
    return [" ".join(text.split()) for text in re.findall(rf"<{tag}>([^<]*)</{tag}>", page)]


async def quality(store: Store, folder: Path) -> None:
    """Print nDCG@10, reciprocal rank and recall of Cranfield's queries."""
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
        relevant = judged[number]
        ideal = sum(1 / log2(rank + 2) for rank in range(min(10, len(relevant))))
        gain = sum(1 / log2(rank + 2) for rank, name in enumerate(found[:10]) if name in relevant)
        gains.append(gain / ideal if ideal else 0.0)
        recalls.append(len(relevant.intersection(found)) / len(relevant) if relevant else 0.0)
    print(f"{len(documents)} documents ({len(titles)} titles), {len(queries)} queries")
    print(f"nDCG@10 {sum(gains) / len(gains):.4f}   recall@20 {sum(recalls) / len(recalls):.4f}")


async def costs(store: Store, count: int) -> None:
    """Print CPU per chunk of cutting and indexing, and per search."""
    chance = random.Random(1)  # noqa: S311
    vocabulary = [f"{chance.choice('bcdfgklmnprst')}{chance.randrange(10**5):x}ing" for _ in range(30_000)]
    weights = [1 / rank for rank in range(1, len(vocabulary) + 1)]
    files: dict[str, list[Chunk]] = {}
    made, cutting = 0, 0.0
    while made < count:
        text = " ".join(chance.choices(vocabulary, weights, k=10_000))
        began = time.process_time()
        files[str(len(files))] = [Chunk(one, words(one)) for one in chunked(text)]
        cutting += time.process_time() - began
        made += len(files[str(len(files) - 1)])
    began = time.process_time()
    await filled(store, "vs_costs", files)
    print(f"{made} chunks of 800 tokens: cut {cutting / made * 1000:.2f} ms, indexed", end=" ")
    print(f"{(time.process_time() - began) / made * 1000:.2f} ms of CPU each (PostgreSQL's own not counted)")
    searcher = Searcher(store.vector_stores)
    spent, waited = [], []
    for _ in range(15):
        query = " ".join(chance.choices(vocabulary[20:], weights[20:], k=6))
        began, clock = time.process_time(), time.perf_counter()
        await searcher.search(SearchTerms(stores=["vs_costs"], owner=OWNER, queries=[query], limit=8))
        spent.append(time.process_time() - began)
        waited.append(time.perf_counter() - clock)
    print(f"search, six words: {sorted(spent)[7] * 1000:.1f} ms of CPU, {sorted(waited)[7] * 1000:.1f} ms on the clock")


async def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--store", default="")
    parser.add_argument("--chunks", type=int, nargs="*", default=[1000, 20_000])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(given.store or f"{folder}/store.db")
        if given.folder is not None:
            await quality(store, given.folder)
        for count in given.chunks:
            await costs(store, count)
        await store.close()


if __name__ == "__main__":
    asyncio.run(main())
