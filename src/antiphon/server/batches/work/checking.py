"""InputCheck: the file of a batch, checked line by line before anything is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

import msgspec

from antiphon.core.request.json_text import check_json
from antiphon.errors import InvalidRequest
from antiphon.runtime.offload import by_size
from antiphon.server.batches.work.base import LONGEST_ID, MOST_ERRORS, BatchBounds, BatchError, BatchFront
from antiphon.server.batches.work.file_lines import LineSplitter, TextLine
from antiphon.stores.batch_records import BatchLine

Insert = Callable[[Sequence[BatchLine]], Awaitable[Sequence[tuple[int, int]]]]
"""Keeps lines; returns those whose `custom_id` an earlier line has, and that line."""

MOST_VALUES = 2_000_000  # of a line; its route looks at it again, and may take fewer
INSERTED = 500  # lines in one transaction


class _ModelOf(msgspec.Struct):
    model: str | None = None


_model_of = msgspec.json.Decoder(_ModelOf)


class InputCheck:
    """Checks a file piece by piece. `errors`: what is wrong with it; `model`: what its requests name; `total`: how many."""

    def __init__(self, front: BatchFront, endpoint: str, bounds: BatchBounds, insert: Insert) -> None:
        self._front = front
        self._endpoint = endpoint
        self._bounds = bounds
        self._insert = insert
        self._splitter = LineSplitter(bounds.line)
        self.errors: list[BatchError] = []
        self.model: str | None = None
        self.total = 0
        self._broken = False

    @property
    def hopeless(self) -> bool:
        """Tell whether to read on would tell nothing more."""
        return self._broken or len(self.errors) >= MOST_ERRORS

    async def feed(self, piece: bytes) -> None:
        """Take the next piece of the file."""
        await self._keep(await by_size(len(piece), lambda: self._checked(self._splitter.feed(piece))))

    async def finish(self) -> None:
        """Take note that the file has ended."""
        await self._keep(self._checked(self._splitter.finish()))
        if not self.total and not self.errors:
            self.fail("empty_file", "The input file has no requests.")

    def fail(self, code: str, message: str, line: int | None = None, param: str | None = None) -> None:
        """Note an error."""
        if not self.hopeless:
            self.errors.append(BatchError(code=code, message=message, line=line, param=param))

    def _checked(self, lines: Iterable[TextLine]) -> list[BatchLine]:
        """Return the lines that are in order."""
        found: list[BatchLine] = []
        try:
            for line in lines:
                if self.hopeless:
                    break
                found += self._check(line)
        except InvalidRequest as error:  # the line is too long to be held
            self.fail(error.code, error.message, self._splitter.line_of)
            self._broken = True
        return found

    def _check(self, line: TextLine) -> list[BatchLine]:
        self.total += 1
        if self.total > self._bounds.requests:
            self.fail("too_many_requests", f"At most {self._bounds.requests} requests are allowed.", line.number)
            return []
        try:
            request = self._front.read(check_json(line.text, values=MOST_VALUES), self._endpoint)
            if len(request.custom_id) > LONGEST_ID:
                raise InvalidRequest(
                    f"Invalid 'custom_id': at most {LONGEST_ID} characters are allowed.", param="custom_id"
                )
            self._check_model(request.body)
        except InvalidRequest as error:
            if error.code == "invalid_json":
                words = error.message.replace("The request body", "This line")
                self.fail("invalid_json_line", words, line.number)
            else:
                self.fail(error.code, error.message, line.number, error.param or None)
            return []
        return [BatchLine(line=line.number, custom_id=request.custom_id, start=line.start, size=len(line.text))]

    def _check_model(self, body: bytes) -> None:
        """Check that all requests name one model. Raises InvalidRequest."""
        try:
            model = _model_of.decode(body).model
        except (ValueError, RecursionError):
            raise InvalidRequest("Invalid 'body': must be an object, with 'model' a string.", param="body") from None
        if self.model is None:
            self.model = model
        elif self._front.one_model and model != self.model:
            raise InvalidRequest(
                f"The model '{model}' is not that of the requests before, '{self.model}': a batch has one model.",
                param="body.model",
                code="mismatched_model",
            )

    async def _keep(self, lines: Sequence[BatchLine]) -> None:
        for begin in range(0, len(lines), INSERTED):
            for line, earlier in await self._insert(lines[begin : begin + INSERTED]):
                self.fail(
                    "duplicate_custom_id",
                    f"The custom_id of this line is that of line {earlier}: each must be unique in a batch.",
                    line,
                    "custom_id",
                )
