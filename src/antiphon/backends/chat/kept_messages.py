"""KeptMessages: the messages of an input as they stood at its end, for the next request that goes on from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from antiphon.backends.chat.message_order import MessageList
from antiphon.backends.chat.profiles import Profile
from antiphon.core.text.pieces import text_json
from antiphon.core.tools.call_ids import BackendIds
from antiphon.core.tools.mcp_content import Senses
from antiphon.core.tools.offers import Target
from antiphon.core.tools.tool_map import ToolMap
from antiphon.types.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    Reasoning,
)

FEWEST = 8
"""Items from which on messages are kept."""

_KINDS = frozenset((Message, Reasoning, FunctionCall, FunctionCallOutput, CustomToolCall, CustomToolCallOutput))
"""Items that say the same to a model, whatever stands behind them."""


class MessageForm(msgspec.Struct, frozen=True):
    """What messages depend on beside the items and the names of tools. `thoughts`: the field for thoughts."""

    profile: Profile
    instructions: str | None
    senses: Senses
    thoughts: str


class CalledName(msgspec.Struct, frozen=True):
    """The name of a function that is called. `before`: what stands in a call between its id and its arguments."""

    name: str
    json: bytes
    before: bytes


def called_name(name: str) -> CalledName:
    """Return a name with its JSON, which is made once for all calls."""
    json = text_json(name)
    return CalledName(name, json, b',"type":"function","function":{"name":%b,"arguments":' % json)


class KeptMessages(msgspec.Struct, eq=False):
    """Messages of items of which each call has its output, and the names of the tools that they call.

    `list_number` is that of the tools (`ToolMap`).
    """

    form: MessageForm
    items: Sequence[Item]
    list: MessageList
    ids: BackendIds | None
    names: Mapping[Target, CalledName]
    list_number: int

    def begin(self, form: MessageForm, items: Sequence[Item], tools: ToolMap) -> bool:
        """Tell whether the messages of these items begin with these messages, and nothing behind them can change that.

        So it is where no output behind them is that of a call among them, which is for the pairing of the rest to say.
        """
        count = len(self.items)
        return (
            len(items) >= count
            and self.form.profile is form.profile
            and self.form == form
            and items[:count] == self.items
            and (
                0 != tools.list_number == self.list_number
                or all(tools.name_of(target) == called.name for target, called in self.names.items())
            )
        )


def may_be_kept(items: Sequence[Item]) -> bool:
    """Tell whether each item says the same to a model, whatever stands behind it."""
    return _KINDS.issuperset(map(type, items))
