"""The forms in which models write tool calls as text, as data. The readers of their shapes are in `json_shapes`, `markup`
and `pythonic`; the configuration adds families of users (`[leaks.NAME]`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

Shape = Literal["json", "named", "markup", "pythonic", "braces", "nothing"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One form of a call: `opener`, body, `closer`. Without an opener it stands at the very start of the answer, behind `start`.

    Shapes of the body: `json`: objects with name and arguments, or lists of them; `named`: a name, `separators`, an object;
    `markup`: a name up to `head_end` (before a line's end or a tag where that is ""), then parameters: `parameter`, key,
    `key_end`, perhaps `value`, the value, `value_end`; `pythonic`: calls as Python writes them; `braces`: a name,
    then keys without quotes and strings between `quote`; `nothing`: no call, the marker alone is taken out.
    `attributes`: names stand in attributes (`name="…"`). `around`: markers around calls, which go with them.
    `several`: more calls may follow without an opener. `lines`: values stand on lines of their own.
    `fences`: the body may stand in a code block. `id_mark`: a marker whose next word is an id, which is passed over.
    """

    shape: Shape
    opener: str = ""
    start: str = ""
    closer: str = ""
    around: tuple[str, ...] = ()
    separators: tuple[str, ...] = ()
    head_end: str = ""
    parameter: str = ""
    key_end: str = ""
    value: str = ""
    value_end: str = ""
    attributes: bool = False
    several: bool = False
    lines: bool = False
    fences: bool = False
    id_mark: str = ""
    quote: str = ""


Families = Mapping[str, Sequence[Row]]


def _tags(*names: str) -> tuple[Row, ...]:
    return tuple(Row(shape="json", opener=f"<{name}>", closer=f"</{name}>") for name in names)


def _invoked(prefix: str, *blocks: str) -> Row:
    """Return the row of `<invoke name="…"><parameter name="…">`, whose tags have a prefix, in blocks of these names."""
    return Row(
        shape="markup",
        opener=f"<{prefix}invoke",
        closer=f"</{prefix}invoke>",
        around=tuple(f"<{slash}{block}>" for block in blocks for slash in ("", "/")),
        head_end=">",
        parameter=f"<{prefix}parameter",
        key_end=">",
        value_end=f"</{prefix}parameter>",
        attributes=True,
    )


def _equals(*blocks: str) -> Row:
    """Return the row of `<function=NAME><parameter=KEY>`, in blocks of these names."""
    return Row(
        shape="markup",
        opener="<function=",
        closer="</function>",
        around=tuple(f"<{slash}{block}>" for block in blocks for slash in ("", "/")),
        head_end=">",
        parameter="<parameter=",
        key_end=">",
        value_end="</parameter>",
        lines=True,
    )


_KIMI = (
    "<|tool_calls_section_begin|>",
    "<|tool_calls_section_end|>",
    "<|tool_call_section_begin|>",
    "<|tool_call_section_end|>",
)
_DEEPSEEK = ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>")
_LLAMA = ("<|eom_id|>", "<|eot_id|>")

FAMILIES: Families = {
    "hermes": (
        *_tags("tool_call", "tools", "function_call"),
        Row(shape="json", opener="<tool_calls>", closer="</tool_calls>", several=True),  # MiniMax M1
    ),
    "qwen_xml": (_equals("tool_call", "seed:tool_call"),),
    "glm": (
        Row(
            shape="markup",
            opener="<tool_call>",
            closer="</tool_call>",
            parameter="<arg_key>",
            key_end="</arg_key>",
            value="<arg_value>",
            value_end="</arg_value>",
        ),
        Row(  # Hunyuan
            shape="markup",
            opener="<tool_call>",
            closer="</tool_call>",
            around=("<tool_calls>", "</tool_calls>"),
            head_end="<tool_sep>",
            parameter="<arg_key>",
            key_end="</arg_key>",
            value="<arg_value>",
            value_end="</arg_value>",
        ),
    ),
    "minimax": (_invoked("", "minimax:tool_call", "function_calls", "tool_calls"),),
    "claude": (_invoked("antml:", "antml:function_calls"),),
    "kimi": (
        Row(
            shape="named",
            opener="<|tool_call_begin|>",
            closer="<|tool_call_end|>",
            around=_KIMI,
            separators=("<|tool_call_argument_begin|>",),
        ),
    ),
    "kimi_k3": (
        Row(
            shape="markup",
            opener="<|open|>call ",
            closer="<|close|>call<|sep|>",
            around=("<|open|>tools<|sep|>", "<|close|>tools<|sep|>"),
            head_end="<|sep|>",
            parameter="<|open|>argument ",
            key_end="<|sep|>",
            value_end="<|close|>argument<|sep|>",
            attributes=True,
        ),
        *(
            Row(shape="nothing", opener=marker)
            for marker in (
                "<|open|>response<|sep|>",
                "<|close|>response<|sep|>",
                "<|close|>message<|sep|>",
                "<|end_of_msg|>",
            )
        ),
    ),
    "deepseek": (
        Row(
            shape="named",
            opener="<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
            closer="<｜tool▁call▁end｜>",
            around=_DEEPSEEK,
            fences=True,
        ),
        Row(
            shape="named",
            opener="<｜tool▁call▁begin｜>",
            closer="<｜tool▁call▁end｜>",
            around=_DEEPSEEK,
            separators=("<｜tool▁sep｜>",),
            fences=True,
        ),
        *(
            _invoked(mark, *(f"{mark}{block}" for block in ("function_calls", "tool_calls", "tool_use")))
            for mark in ("｜DSML｜", "|DSML|", "｜｜DSML｜｜", "||DSML||", "‖DSML‖", " | DSML | ", "DSML ")
        ),
    ),
    "mistral": (
        Row(shape="json", opener="[TOOL_CALLS]"),
        Row(shape="named", opener="[TOOL_CALLS]", separators=("[ARGS]",), id_mark="[CALL_ID]"),
    ),
    "llama": (
        Row(shape="json", opener="<|python_tag|>", around=_LLAMA, several=True),
        Row(shape="pythonic", opener="<|python_tag|>", around=_LLAMA),
        Row(shape="named", opener="<function=", closer="</function>", separators=(">", "=")),
        Row(shape="json", around=_LLAMA, several=True),
    ),
    "pythonic": (
        Row(shape="pythonic", opener="<|python_start|>", closer="<|python_end|>"),
        Row(shape="pythonic", around=_LLAMA),
    ),
    "bare": (Row(shape="json", several=True, fences=True),),
    "granite": (
        Row(shape="json", opener="<|tool_call|>", closer="<|/tool_call|>"),
        Row(shape="json", opener="<|tool_call|>"),
    ),
    "nemotron": _tags("TOOLCALL"),
    "longcat": _tags("longcat_tool_call"),
    "internlm": tuple(
        Row(shape="json", opener=f"<|action_start|>{blank}<|plugin|>", closer="<|action_end|>") for blank in ("", " ")
    ),
    "lfm": (Row(shape="pythonic", opener="<|tool_call_start|>", closer="<|tool_call_end|>"),),
    "olmo": (Row(shape="pythonic", opener="<function_calls>", closer="</function_calls>"),),
    "gemma": (
        Row(shape="braces", opener="<|tool_call>call:", closer="<tool_call|>", quote='<|"|>'),
        Row(shape="braces", opener="<start_function_call>call:", closer="<end_function_call>", quote="<escape>"),
    ),
    "gemma_code": (Row(shape="pythonic", start="```tool_code", closer="```"),),
    "phi": (Row(shape="json", start="functools"),),
    "gpt_oss": tuple(
        Row(
            shape="named",
            opener=f"{head}to=",
            closer="<|call|>",
            separators=("<|channel|>commentary", "<|constrain|>json", "<|constrain|>", "json", "code", "<|message|>"),
        )
        for channel in ("", "<|channel|>commentary ", "<|channel|>analysis ")
        for head in (f"<|start|>assistant{channel or ' '}", channel)
        if head
    ),
    "step": (
        msgspec.structs.replace(
            _invoked("steptml:"),
            around=(
                "<｜tool_calls_begin｜>",
                "<｜tool_call_begin｜>function<｜tool_sep｜>",
                "<｜tool_call_end｜>",
                "<｜tool_calls_end｜>",
            ),
        ),
    ),
}
"""Name → rows. Several families may have the same opener: what stands behind it tells them apart."""

CHANNELS = "harmony"
"""The family that is no row: channels of a whole message, which `harmony` reads."""

NAMES = (*FAMILIES, CHANNELS)


def rows_of(names: Sequence[str], own: Families) -> list[Row]:
    """Return the rows of families by name, the users' `own` among them; each row once."""
    return list(dict.fromkeys(row for name in names for row in own.get(name) or FAMILIES.get(name) or ()))
