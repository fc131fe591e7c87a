"""What the tests store."""

from __future__ import annotations

from typing import Any

from antiphon.stores.records import Delivery, LoggedEvent, StoredConversation, StoredFile, StoredItem, StoredResponse

ANN, BOB = "ann", "bob"
NOW = 1_700_000_000.0


def base(number: int) -> str:
    return f"{number:032x}"


def response(number: int = 1, *, outputs: int = 1, inputs: int = 1, owner: str = ANN, **fields: Any) -> StoredResponse:
    """A response with derived ids; `text` marks its items."""
    text = fields.pop("text", f"text of {number}")
    output = ",".join(f'{{"id":"msg_{base(number)}{index:04x}","text":"{text} ö {index}"}}' for index in range(outputs))
    input = ",".join(f'{{"id":"msg_{base(number)}i{index:04x}","text":"{text} ? {index}"}}' for index in range(inputs))
    body = f'{{"id":"resp_{base(number)}","name":"ä","output":[{output}],"status":"completed"}}'.encode()
    start = body.index(b'"output":') + len(b'"output":')
    defaults: dict[str, Any] = {
        "id": f"resp_{base(number)}",
        "owner": owner,
        "model": "a-model",
        "status": "completed",
        "created_at": 1_700_000_000 + number,
        "body": body,
        "output_span": (start, start + len(f"[{output}]".encode())),
        "input": f"[{input}]".encode(),
    }
    return StoredResponse(**{**defaults, **fields})


def conversation(number: int = 1, owner: str = ANN) -> StoredConversation:
    return StoredConversation(id=f"conv_{number}", owner=owner, created_at=1_700_000_000, metadata=b'{"a":"b"}')


def item(name: str) -> StoredItem:
    return StoredItem(name, f'{{"id":"{name}"}}'.encode())


def event(number: int) -> LoggedEvent:
    return LoggedEvent(number, "response.output_text.delta", b'{"sequence_number":%d}' % number)


def file(
    number: int = 1, *, owner: str = ANN, purpose: str = "user_data", size: int = 3, expires_at: int | None = None
) -> StoredFile:
    return StoredFile(
        id=f"file_{number:03}",
        owner=owner,
        filename=f"ä {number}.txt",
        purpose=purpose,
        media_type="text/plain",
        size=size,
        created_at=int(NOW),
        expires_at=expires_at,
    )


def delivery(number: int = 1, url: str = "http://a/", due: float = 10.0) -> Delivery:
    return Delivery(id=f"evt_{number}", url=url, owner=ANN, body=b'{"n":%d}' % number, due=due)
