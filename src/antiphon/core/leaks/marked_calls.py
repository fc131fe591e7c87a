"""Leaked calls in markup of their own: Qwen's XML, DeepSeek's markers."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from antiphon.core.leaks.base import LeakedCall, MarkedFilter, json_values, typed


class QwenXmlFilter(MarkedFilter):
    """`<tool_call><function=NAME><parameter=KEY>value</parameter></function></tool_call>`, with or without the outer tags."""

    openers = ("<tool_call>", "<function=")
    stray = "</tool_call>"
    _whole = re.compile(r"(?:<tool_call>\s*)?<function=([^>\n]+)>(.*?)</function>(?:\s*</tool_call>)?", re.DOTALL)
    _parameter = re.compile(r"<parameter=([^>\n]+)>\n?(.*?)(?:\n?</parameter>|(?=\n?<parameter=)|\Z)", re.DOTALL)

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
        arguments: dict[str, Any] = {
            key.strip(): typed(self.offered[name], key.strip(), value) for key, value in self._parameter.findall(body)
        }
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
    _call = re.compile(r"<｜tool▁call▁begin｜>(.*?)<｜tool▁sep｜>(.*?)(?:<｜tool▁call▁end｜>|\Z)", re.DOTALL)
    _fenced = re.compile(r"\s*([\w.-]+)\s*```(?:json)?\s*(.*?)\s*```\s*\Z", re.DOTALL)
    _invoke = re.compile(r'<｜DSML｜invoke name="([^"]+)">(.*?)</｜DSML｜invoke>', re.DOTALL)
    _parameter = re.compile(
        r'<｜DSML｜parameter name="([^"]+)"(?: string="(true|false)")?>(.*?)</｜DSML｜parameter>', re.DOTALL
    )

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
        for first, second in self._call.findall(body):
            fenced = self._fenced.match(second)
            name, arguments = (fenced[1], fenced[2]) if fenced else (first.strip(), second)
            values = json_values(arguments)
            calls.append(self.call(name, values[0]) if values else None)
        return calls

    def _invoked(self, body: str) -> list[LeakedCall | None]:
        calls: list[LeakedCall | None] = []
        for name, inner in self._invoke.findall(body):
            arguments: dict[str, Any] = {}
            for key, string, value in self._parameter.findall(inner):
                values = None if string == "true" else json_values(value)
                arguments[key] = values[0] if values and len(values) == 1 else value
            calls.append(self.call(name, arguments))
        return calls
