"""The messages of a request in an order that the backend takes: which roles there are, and which may follow which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Raw

from antiphon.backends.chat.content_parts import Content, together
from antiphon.core.json_encoding import to_json
from antiphon.core.text.pieces import text_json
from antiphon.core.turn import no_prefill

Roles = Literal["auto", "keep", "system", "merge", "merge-first", "alternate", "user"]

BRIDGE = "OK."
"""What the assistant says between outputs of tools and a user's message, where nothing else may follow outputs."""

GO_ON = "Continue."
"""What the user says where a user has to begin or to end."""


class RoleRules(msgspec.Struct, frozen=True, kw_only=True):
    """What one policy does.

    `developer`: developer messages keep their role. `system`: each system message stays where it is, neighbours are `joined`,
    those before the first answer stand together at the `first` place, or before the first message of the `user`, who tells
    later ones at their place. `alternate`: user and assistant take turns, only the assistant follows outputs of tools, and a
    user or an output is the last.
    """

    developer: bool = False
    system: Literal["each", "joined", "first", "user"] = "each"
    alternate: bool = False


RULES: dict[Roles, RoleRules] = {
    "auto": RoleRules(),
    "keep": RoleRules(developer=True),
    "system": RoleRules(),
    "merge": RoleRules(system="joined"),
    "merge-first": RoleRules(system="first"),
    "alternate": RoleRules(system="first", alternate=True),
    "user": RoleRules(system="user", alternate=True),
}


class MessageList:
    """Gathers messages; `pieces` gives them as a JSON array.

    A long output stands in it as it came, by itself: it is copied once, when the body is made.
    """

    __slots__ = (
        "_answered",
        "_continues",
        "_done",
        "_first",
        "_last",
        "_opening",
        "_rules",
        "_system",
        "_system_role",
        "_user",
    )

    def __init__(self, roles: Roles) -> None:
        self._rules = RULES[roles]
        self._first: list[str] = []
        self._system: list[str] = []
        self._system_role = "system"
        self._user: list[Content] = []  # of a user's message that others may join
        self._opening: list[Content] = []  # of the first one
        self._done: list[bytes | Raw] = []  # pieces; the first one of each message begins with a comma
        self._last = ""
        self._continues = self._answered = False

    def copy(self) -> MessageList:
        """Return another with the same messages."""
        other = MessageList.__new__(MessageList)
        other._rules, other._system_role, other._last = self._rules, self._system_role, self._last
        other._continues, other._answered = self._continues, self._answered
        other._first, other._system, other._user = [*self._first], [*self._system], [*self._user]
        other._opening, other._done = [*self._opening], [*self._done]
        return other

    def note(self, text: str) -> None:
        """Add to what stands at the very beginning."""
        self._first.append(text)

    def system(self, role: str, text: str) -> None:
        """Add a system or developer message."""
        if self._rules.system in ("first", "user"):
            if self._answered:  # moved to the front, it would change the beginning of a prompt that was sent
                self.user(Content(f"<system-reminder>\n{text}\n</system-reminder>"))
            else:
                self._first.append(text)
            return
        role = role if self._rules.developer else "system"
        if self._system and (self._rules.system != "joined" or role != self._system_role):
            self._end_system()
        self._system_role = role
        self._system.append(text)

    def user(self, content: Content) -> None:
        """Add a user's message."""
        if self._system:
            self._end_system()
        if not self._rules.alternate:
            self._done.append(message("user", content.whole()))
            return
        if self._last == "tool":
            self._done.append(message("assistant", text_json(BRIDGE)))
        self._user.append(content)
        self._last = "user"

    def assistant(self, fields: Sequence[bytes], outputs: Sequence[bytes | Raw] = ()) -> None:
        """Add an assistant's message: its fields as JSON, from `content` on.

        `outputs` are the pieces of the messages with what its calls gave, each of which begins with a `tool_head`.
        """
        self._answered = True
        if self._system:
            self._end_system()
        if self._rules.alternate and self._last not in ("user", "tool"):
            self.user(Content(GO_ON))
        if self._user:
            self._end_user()
        self._done.append(b"".join((b',{"role":"assistant",', *fields, b"}")))
        self._done += outputs
        self._last = "tool" if outputs else "assistant"

    def continue_last(self, field: str) -> None:
        """Mark the last message, an assistant's, as one that the answer continues; `field` of it says so, if any.

        Raises InvalidRequest where outputs of its calls stand behind it.
        """
        if self._last != "assistant":
            raise no_prefill()
        self._continues = True
        if field:
            self._done[-1] = b"%b,%b:true}" % (bytes(self._done[-1])[:-1], to_json(field))

    def pieces(self) -> list[bytes | Raw]:
        """Return the messages as a JSON array, in pieces that are to be joined."""
        if self._system:
            self._end_system()
        if self._rules.alternate and self._last not in ("user", "tool") and not self._continues:
            self.user(Content(GO_ON))
        if self._user:
            self._end_user()
        pieces = [b"[", *self._done, b"]"]
        if self._first:
            first = "\n\n".join(self._first)
            if self._opening and self._rules.system == "user":
                pieces[1] = message("user", together([Content(first), *self._opening]))
            else:
                pieces.insert(1, message("system", text_json(first)))
        if len(pieces) > 2:
            pieces[1] = bytes(pieces[1])[1:]  # without its comma
        return pieces

    def _end_system(self) -> None:
        self._done.append(message(self._system_role, text_json("\n\n".join(self._system))))
        self._system = []

    def _end_user(self) -> None:
        if not self._done:
            self._opening = self._user
        self._done.append(message("user", together(self._user)))
        self._user = []


def tool_head(call_id: bytes, name: bytes) -> bytes:
    """Return what stands before the content of a message with an output, with a comma before it. The name may be b""."""
    named = b',"name":' + name if name else b""
    return b"".join((b',{"role":"tool","tool_call_id":', call_id, named, b',"content":'))


def message(role: str, content: bytes) -> bytes:
    """Return a message as JSON, with a comma before it."""
    return b"".join((_HEADS.get(role) or _head(role), content, b"}"))


def _head(role: str) -> bytes:
    return b',{"role":%b,"content":' % to_json(role)


_HEADS = {role: _head(role) for role in ("user", "system", "developer", "assistant")}
