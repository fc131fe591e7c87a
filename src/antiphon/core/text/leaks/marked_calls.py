"""Leaked calls in markup of their own: Qwen's XML, DeepSeek's markers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

from antiphon.core.text.leaks.base import LeakedCall, MarkedFilter, json_values, typed


class QwenXmlFilter(MarkedFilter):
    """`<tool_call><function=NAME><parameter=KEY>value</parameter></function></tool_call>`, with or without the outer tags."""

    openers = ("<tool_call>", "<function=")
    stray = "</tool_call>"
    _whole = re.compile(
        r"(?:<tool_call>\s*)?<function=([^<>\n]{1,256})>(.*?)</function>(?:\s*</tool_call>)?", re.DOTALL
    )

    def read(self, text: str, final: bool) -> tuple[list[LeakedCall], int] | None:
        """Read one function. The closing outer tag is waited for where there was an opening one."""
        inner = text.removeprefix("<tool_call>").lstrip()
        if inner and not inner.startswith("<function="[: len(inner)]):
            return [], len(text) - len(inner) or 1
        whole = self._whole.match(text)
        if whole is None or (text.startswith("<tool_call>") and not whole[0].endswith("</tool_call>") and not final):
            return None
        name, body = whole[1].strip(), whole[2]
        if name not in self.offered:
            return [], whole.end()
        arguments = {key: typed(self.offered[name], key, value) for key, value in _parameters(body)}
        call = self.call(name, arguments)
        return [call] if call else [], whole.end()


class DeepSeekFilter(MarkedFilter):
    """DeepSeek's markers: the older form with a fenced block, the newer one without, and the DSML of V3.2."""

    openers = ("<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜DSML｜function_calls>")
    _ends: ClassVar = {
        "<｜tool▁calls▁begin｜>": "<｜tool▁calls▁end｜>",
        "<｜tool▁call▁begin｜>": "<｜tool▁call▁end｜>",
        "<｜DSML｜function_calls>": "</｜DSML｜function_calls>",
    }

    def read(self, text: str, final: bool) -> tuple[list[LeakedCall], int] | None:
        """Read one block of calls."""
        opener = next(opener for opener in self.openers if text.startswith(opener))
        body, end, _ = text.partition(self._ends[opener])
        if not end and not final:
            return None
        calls = self._invoked(body) if "DSML" in opener else self._called(body)
        return [call for call in calls if call is not None] if None not in calls else [], len(body) + len(end)

    def _called(self, body: str) -> list[LeakedCall | None]:
        calls: list[LeakedCall | None] = []
        for block in body.split("<｜tool▁call▁begin｜>")[1:]:
            first, separator, second = block.partition("<｜tool▁sep｜>")
            if separator:
                name, arguments = _fenced(first.strip(), second.partition("<｜tool▁call▁end｜>")[0])
                values = json_values(arguments)
                calls.append(self.call(name, values[0]) if values else None)
        return calls

    def _invoked(self, body: str) -> list[LeakedCall | None]:
        calls: list[LeakedCall | None] = []
        for name, _, inner in _elements(body, "invoke"):
            arguments: dict[str, Any] = {}
            for key, rest, value in _elements(inner, "parameter"):
                values = None if rest == ' string="true"' else json_values(value)
                arguments[key] = values[0] if values and len(values) == 1 else value
            calls.append(self.call(name, arguments))
        return calls


def _parameters(body: str) -> Iterator[tuple[str, str]]:
    """Yield names and values of Qwen's parameters; a closing tag may be missing."""
    for block in body.split("<parameter=")[1:]:
        key, tag, value = block.partition(">")
        if tag and "\n" not in key:
            value, _closed, _ = value.removeprefix("\n").partition("</parameter>")
            yield key.strip(), value.removesuffix("\n")


def _fenced(name: str, text: str) -> tuple[str, str]:
    """Return the name and the arguments of an older DeepSeek's call: `function<sep>NAME`, then JSON in a fence."""
    head, fence, rest = text.partition("```")
    rest = rest.rstrip()
    if not fence or not rest.endswith("```"):
        return name, text
    return head.strip(), rest.removesuffix("```").removeprefix("json")


def _elements(body: str, tag: str) -> Iterator[tuple[str, str, str]]:
    """Yield name, further attributes and content of DSML's elements that are closed."""
    for block in body.split(f'<｜DSML｜{tag} name="')[1:]:
        name, _, rest = block.partition('"')
        attributes, end, inner = rest.partition(">")
        inner, closed, _ = inner.partition(f"</｜DSML｜{tag}>")
        if end and closed:
            yield name, attributes, inner
