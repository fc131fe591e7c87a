"""The routes of the larger resources."""

from __future__ import annotations

from antiphon.server.api.conversations import Conversations
from antiphon.server.api.counting import Counting
from antiphon.server.api.responses import Responses
from antiphon.server.http.router import RouteTable


def add_responses(router: RouteTable, responses: Responses, counting: Counting) -> None:
    """Register `/responses`."""
    router.add("POST", "/responses", responses.create)
    router.add("POST", "/responses/input_tokens", counting.input_tokens)
    router.add("POST", "/responses/compact", counting.compact)
    router.add("GET", "/responses/{id}", responses.read)
    router.add("DELETE", "/responses/{id}", responses.delete)
    router.add("POST", "/responses/{id}/cancel", responses.cancel)
    router.add("GET", "/responses/{id}/input_items", responses.input_items)


def add_conversations(router: RouteTable, conversations: Conversations) -> None:
    """Register `/conversations`."""
    router.add("POST", "/conversations", conversations.create)
    router.add("GET", "/conversations/{id}", conversations.read)
    router.add("POST", "/conversations/{id}", conversations.update)
    router.add("DELETE", "/conversations/{id}", conversations.delete)
    router.add("POST", "/conversations/{id}/items", conversations.add_items)
    router.add("GET", "/conversations/{id}/items", conversations.list_items)
    router.add("GET", "/conversations/{id}/items/{item_id}", conversations.read_item)
    router.add("DELETE", "/conversations/{id}/items/{item_id}", conversations.delete_item)
