"""Shapes of objects as the APIs describe them, as data.

A shape is words: `name:type`, types with `|` between them, `=value` for a constant. Without the fields of `must`
clients break; those of `should` are required by the documents too, but are seldom missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "num": (int, float),
    "bool": (bool,),
    "list": (list,),
    "obj": (dict,),
    "null": (type(None),),
}


class ObjectShape(msgspec.Struct, frozen=True):
    """What an object must have, by field: the types, or the one value; and what it should have."""

    must: dict[str, str]
    should: tuple[str, ...] = ()

    def faults(self, value: Any, where: str) -> Iterator[str]:
        """Yield what clients break at."""
        if not isinstance(value, dict):
            yield f"{where} is no object"
            return
        for name, wanted in self.must.items():
            if name not in value:
                yield f"{where}.{name} is missing"
            elif not _fits(value[name], wanted):
                yield f"{where}.{name} is {_shown(value[name])}, not {wanted.replace('=', '')}"

    def lacks(self, value: Any, where: str) -> Iterator[str]:
        """Yield what else is missing."""
        yield from (f"{where}.{name} is missing" for name in self.should if name not in value)


def _fits(value: Any, wanted: str) -> bool:
    if wanted.startswith("="):
        return bool(value == wanted[1:])
    if isinstance(value, bool):
        return "bool" in wanted.split("|")
    return any(isinstance(value, TYPES[type]) for type in wanted.split("|"))


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return repr(value[:40])
    return "null" if value is None else type(value).__name__ if isinstance(value, dict | list) else str(value)


def shape(must: str, should: str = "") -> ObjectShape:
    """Read the words of a shape."""
    fields = (word.partition(":") for word in must.split())
    return ObjectShape({name: wanted for name, _, wanted in fields}, tuple(should.split()))


# Responses: OpenAI's document, components/schemas

RESPONSE = shape(
    "id:str object:=response created_at:num model:str output:list",
    "error incomplete_details instructions tools parallel_tool_calls metadata tool_choice temperature top_p",
)
USAGE = shape("input_tokens:int output_tokens:int total_tokens:int", "input_tokens_details output_tokens_details")
MESSAGE = shape("type:=message id:str role:=assistant status:str content:list")
TEXT = shape("type:=output_text text:str", "annotations")
FUNCTION_CALL = shape("type:=function_call call_id:str name:str arguments:str", "id status")
CUSTOM_CALL = shape("type:=custom_tool_call call_id:str name:str input:str")
REASONING = shape("type:=reasoning id:str", "summary")
PAGE = shape("object:=list data:list", "has_more first_id last_id")
COUNT = shape("object:=response.input_tokens input_tokens:int")
COMPACTION = shape("id:str object:=response.compaction output:list created_at:num", "usage")
CONVERSATION = shape("id:str object:=conversation created_at:num", "metadata")
ITEMS = {one.must["type"].removeprefix("="): one for one in (MESSAGE, FUNCTION_CALL, CUSTOM_CALL, REASONING)}
"""Items of an output whose shapes are looked at; others pass."""

ERROR = shape("message:str", "type param code")
"""The value of `error` in an error body."""

EVENTS: dict[str, ObjectShape] = {
    "response.created": shape("response:obj"),
    "response.in_progress": shape("response:obj"),
    "response.completed": shape("response:obj"),
    "response.incomplete": shape("response:obj"),
    "response.failed": shape("response:obj"),
    "response.output_item.added": shape("output_index:int item:obj"),
    "response.output_item.done": shape("output_index:int item:obj"),
    "response.content_part.added": shape("item_id:str output_index:int part:obj", "content_index"),
    "response.content_part.done": shape("item_id:str output_index:int part:obj", "content_index"),
    "response.output_text.delta": shape("item_id:str output_index:int content_index:int delta:str", "logprobs"),
    "response.output_text.done": shape("item_id:str output_index:int content_index:int text:str", "logprobs"),
    "response.function_call_arguments.delta": shape("item_id:str output_index:int delta:str"),
    "response.function_call_arguments.done": shape("item_id:str output_index:int arguments:str"),
}
"""Events by type, beside `type` and `sequence_number`; others pass."""

# Chat completions, Messages, and the rest

MODEL = shape("id:str object:=model", "created owned_by")
MODELS = shape("object:=list data:list")
CHAT = shape("id:str object:=chat.completion created:num model:str choices:list", "usage")
CHAT_CHUNK = shape("id:str object:=chat.completion.chunk created:num model:str choices:list")
CHAT_USAGE = shape("prompt_tokens:int completion_tokens:int total_tokens:int")
CHAT_CALL = shape("id:str type:=function function:obj")
MESSAGES_ANSWER = shape(
    "id:str type:=message role:=assistant model:str content:list stop_reason:str usage:obj", "stop_sequence"
)
MESSAGES_USAGE = shape("input_tokens:int output_tokens:int")
MESSAGES_OUTPUT = shape("output_tokens:int")
TOOL_USE = shape("type:=tool_use id:str name:str input:obj")
EMBEDDINGS = shape("object:=list data:list model:str", "usage")
EMBEDDING = shape("object:=embedding index:int")
MODERATION = shape("id:str model:str results:list")
VERDICT = shape("flagged:bool categories:obj category_scores:obj", "category_applied_input_types")
FILE = shape("id:str object:=file bytes:int created_at:num filename:str purpose:str", "status")
BATCH = shape("id:str object:=batch endpoint:str input_file_id:str status:str created_at:num", "request_counts")
VECTOR_STORE = shape("id:str object:=vector_store created_at:num", "name status file_counts metadata usage_bytes")
VECTOR_STORE_FILE = shape(
    "id:str object:=vector_store.file status:str vector_store_id:str", "created_at last_error usage_bytes"
)
FOUND = shape("file_id:str filename:str score:num content:list", "attributes")
