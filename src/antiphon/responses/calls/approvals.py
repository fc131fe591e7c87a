"""Approvals of MCP calls: a client's answers to `mcp_approval_request` items of this server (OpenAI's "MCP" guide).

The id of an `mcp_approval_request` ends with a signature of its owner, server, tool and arguments. So the
item alone proves that this server asked, if the client keeps its history itself; a changed or invented item is refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import TypeGuard

import msgspec

from antiphon.core.kinds import APPROVAL_REQUEST, APPROVAL_RESPONSE, MCP_CALL
from antiphon.core.request.other_items import ApprovalRequest, approval, approval_request, approved_by
from antiphon.errors import InvalidRequest
from antiphon.responses.sealing import Sealer
from antiphon.types.items import Item, OtherItem

_MARK = "s"
"""Stands before the signature: no hexadecimal digit, so that an id without one is not taken for signed."""
_PURPOSE = APPROVAL_REQUEST


class Approval(msgspec.Struct, frozen=True):
    """An answer to an approval request of this server for a call that has not been made yet."""

    request: ApprovalRequest
    approve: bool
    reason: str | None = None


def signed_id(sealer: Sealer, owner: str, id: str, label: str, name: str, arguments: str) -> str:
    """Return the id of an approval request with its signature."""
    return f"{id}{_MARK}{sealer.sign(_PURPOSE, owner, id, label, name, arguments)}"


def given(
    own: Sequence[Item], items: Sequence[Item], labels: Collection[str], sealer: Sealer, owner: str
) -> list[Approval]:
    """Return the approvals among a request's own items whose calls have not been made yet; `items` are the whole context.

    Raises InvalidRequest for an approval request that is not this server's, or of an MCP server that is not declared.
    """
    answers = [(index, item) for index, item in enumerate(own) if _is(item, APPROVAL_RESPONSE)]
    if not answers:
        return []
    asked = {request.id: request for request in _requests(items)}
    made = set(calls_made(items))
    approvals: list[Approval] = []
    for index, item in answers:
        answer = approval(item, f"input[{index}]")
        id = answer.approval_request_id
        if id in made:
            continue
        made.add(id)
        request = asked.get(id)
        param = f"input[{index}].approval_request_id"
        if request is None or not _is_signed(sealer, owner, request):
            raise InvalidRequest(
                f"Unknown approval request '{id}': this server did not make it for this API key's owner.",
                param=param,
            )
        if request.server_label not in labels:
            raise InvalidRequest(
                f"The approved call belongs to the MCP server '{request.server_label}', which 'tools' does not declare.",
                param=param,
            )
        approvals.append(Approval(request, answer.approve, answer.reason))
    return approvals


def calls_made(items: Sequence[Item]) -> Iterator[str]:
    """Yield the ids of the approval requests that calls were made for."""
    for item in items:
        if _is(item, MCP_CALL):
            with contextlib.suppress(InvalidRequest):
                id = approved_by(item)
                if id is not None:
                    yield id


def _requests(items: Sequence[Item]) -> Iterator[ApprovalRequest]:
    for item in items:
        if _is(item, APPROVAL_REQUEST):
            with contextlib.suppress(InvalidRequest):  # not as this server writes them: whoever answers it is told
                yield approval_request(item)


def _is_signed(sealer: Sealer, owner: str, request: ApprovalRequest) -> bool:
    id, _, signature = request.id.rpartition(_MARK)
    return sealer.signed(signature, _PURPOSE, owner, id, request.server_label, request.name, request.arguments)


def _is(item: Item, type: str) -> TypeGuard[OtherItem]:
    return isinstance(item, OtherItem) and item.type == type
