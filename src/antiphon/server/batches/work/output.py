"""Output and error files: what has become of each line, in the order of the input, row by row into the store."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from antiphon.errors import StoreConflict
from antiphon.server.batches.work.base import BatchDetails, BatchFront, Ending
from antiphon.stores.base import Store
from antiphon.stores.batch_records import BatchLease
from antiphon.stores.records import FILE_ROW, StoredFile

PURPOSE = "batch_output"
UNFINISHED_SECONDS = 3600  # after which a file that was begun is swept
READ_LINES = 64  # at a time
READ_BYTES = 4 << 20  # of them, unless one has more


class OutputFile:
    """A file that is written line by line. The id is that of the batch's making: written twice, it is there once."""

    def __init__(self, store: Store, file: StoredFile) -> None:
        self._files = store.files
        self._file = file
        self._row: list[bytes] = []
        self._row_size = 0
        self._content: int | None = None
        self._written = 0

    async def add(self, line: bytes) -> None:
        """Append a line."""
        self._row.append(line + b"\n")
        self._row_size += len(line) + 1
        if self._row_size >= FILE_ROW:
            await self._write(whole_rows=True)

    async def close(self) -> bool:
        """Make the file; tell whether it has anything in it."""
        if not self._written and not self._row:
            return False
        size = self._written + self._row_size
        try:
            if self._content is None:
                await self._files.put(replace(self._file, size=size), b"".join(self._row))
                return True
            await self._write(whole_rows=False)
            await self._files.finish(replace(self._file, size=size), [self._content])
        except StoreConflict:  # it was made before, by whom died then
            await self.drop()
        return True

    async def drop(self) -> None:
        """Leave what is written to be deleted."""
        if self._content is not None:
            await self._files.drop([self._content])

    async def _write(self, *, whole_rows: bool) -> None:
        data = b"".join(self._row)
        if self._content is None:
            self._content = await self._files.begin(self._file.owner, self._file.created_at + UNFINISHED_SECONDS)
        end = len(data) - len(data) % FILE_ROW if whole_rows else len(data)
        for start in range(0, end, FILE_ROW):
            row = data[start : min(start + FILE_ROW, end)]
            await self._files.append(self._content, self._written, row)
            self._written += len(row)
        rest = data[end:]
        self._row, self._row_size = [rest] if rest else [], len(rest)


async def write_outputs(
    store: Store,
    lease: BatchLease,
    details: BatchDetails,
    front: BatchFront,
    ending: Ending,
    clock: Callable[[], float],
) -> tuple[bool, bool]:
    """Write the files of a batch that ends; tell whether there are an output file and an error file."""
    now = int(clock())
    expires_at = None if details.output_seconds is None else now + details.output_seconds

    def begin(id: str, name: str) -> OutputFile:
        file = StoredFile(
            id=id,
            owner=lease.batch.owner,
            filename=f"{lease.batch.id}_{name}.jsonl",
            purpose=PURPOSE,
            media_type="application/jsonl",
            size=0,
            created_at=now,
            expires_at=expires_at,
        )
        return OutputFile(store, file)

    output, errors = begin(details.output_file_id, "output"), begin(details.error_file_id, "error")
    try:
        at = 0
        while lines := await store.batches.outcomes(lease, at, READ_LINES, READ_BYTES):
            for line in lines:
                text = line.body if line.answered else front.left(line.custom_id, ending)
                failed = line.failed or not line.answered
                if text is not None:
                    await (errors if failed and not front.one_file else output).add(text)
            at = lines[-1].line
        return await output.close(), await errors.close()
    except BaseException:
        await output.drop()
        await errors.drop()
        raise
