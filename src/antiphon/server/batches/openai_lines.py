"""OpenAIBatchFront: lines of input, output and error files as OpenAI writes them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.request.validation import decode
from antiphon.errors import InvalidRequest
from antiphon.server.batches.work.base import BatchRequest, Ending, LineAnswer

EXPIRED = "This request was not answered before the batch expired."


class InputLine(msgspec.Struct, frozen=True):
    """A line of the input file."""

    custom_id: str
    method: str
    url: str
    body: Raw


_line = msgspec.json.Decoder(InputLine)


class OpenAIBatchFront:
    """Lines of batches that `/v1/batches` made."""

    one_model = True
    one_file = False

    def __init__(self, new_id_base: Callable[[], str]) -> None:
        self._new_id_base = new_id_base

    def read(self, line: bytes, endpoint: str) -> BatchRequest:
        """Read a line of the input file. Raises InvalidRequest."""
        found = decode(_line, line)
        if found.method.upper() != "POST":
            raise InvalidRequest("Invalid 'method': must be 'POST'.", param="method", code="invalid_method")
        if found.url != endpoint:
            raise InvalidRequest(
                f"The URL of this request is not the endpoint of the batch, '{endpoint}'.",
                param="url",
                code="invalid_url",
            )
        if not found.custom_id:
            raise InvalidRequest("Invalid 'custom_id': must not be empty.", param="custom_id")
        return BatchRequest(found.custom_id, bytes(found.body))

    def answered(self, custom_id: str, answer: LineAnswer) -> bytes:
        """Return the line that tells an answer, whatever its status."""
        response = {"status_code": answer.status, "request_id": answer.request_id, "body": Raw(answer.body or b"null")}
        return self._told(custom_id, response, None)

    def refused(self, custom_id: str, code: str, message: str) -> bytes:
        """Return the line of a request that was not answered."""
        return self._told(custom_id, None, {"code": code, "message": message})

    def left(self, custom_id: str, ending: Ending) -> bytes | None:
        """Return the line of a request that had no time; one that was cancelled has none."""
        return self.refused(custom_id, "batch_expired", EXPIRED) if ending == "expired" else None

    def _told(self, custom_id: str, response: object, error: object) -> bytes:
        id = f"batch_req_{self._new_id_base()}"
        return to_json({"id": id, "custom_id": custom_id, "response": response, "error": error})
