"""A model that does as the prompt says: `Weather? <play>{"call": [["look", {"city": "Rome"}]]}, {"say": "{{tool.0}}"}</play>`.

Between the tags stand steps, each one model reply. Which is played is told by the calls made since. A step's keys:
`say`, `think`, `refuse`; `json` (said only where the request has a `response_format`); `call` (a list of name and arguments);
`raw` (name and text, for a custom tool); `finish`, `usage` (two numbers), `piece`, `pace`, `cut`, `error` as in `Reply`.
Texts may hold `{{…}}`, by which a scenario sees what reached the model: see `_seen`.
"""

from __future__ import annotations

import json
import re

from tests.clients.chat import Ask, Call, Json, Offered, Reply, Said

_SCRIPT = re.compile(r"<play>(.*?)</play>", re.DOTALL)
_SEEN = re.compile(r"\{\{(\w+)(?:\.([^}]*))?\}\}")
_NOTE = "NOTE {}="
_SUMMARY = ("handoff summary", "CONTEXT CHECKPOINT", "ummarize the conversation")
_WITH_SCRIPT = (
    "Your task is to create a detailed summary of"  # joined to the message before it, which may hold a script
)
_AS_THEY_ARE = ("refuse", "finish", "usage", "piece", "pace", "cut", "error")


def play(ask: Ask) -> Reply:
    """Answer as the last script says; without one a compaction's request gets a summary, all else is repeated."""
    last = next((said.text for said in reversed(ask.said) if said.role == "user"), "")
    scripts = [(place, found[-1]) for place, said in enumerate(ask.said) if (found := _scripts(said))]
    if _WITH_SCRIPT in last:
        task = f"<play>{scripts[-1][1]}</play>" if scripts else ""
        return Reply(say=f"<summary>SUMMARY-OF-ALL {_notes(ask)} {task}</summary>")
    if not _SCRIPT.search(last) and any(mark in last for mark in _SUMMARY):
        return Reply(say="SUMMARY-OF-ALL " + _notes(ask))
    if scripts:
        place, script = scripts[-1]
        return _step(json.loads(f"[{script}]"), ask, ask.said[place + 1 :])
    return Reply(say=f"You said: {last}")


def _scripts(said: Said) -> list[str]:
    return _SCRIPT.findall(said.text) if said.role == "user" else []


def _step(steps: list[Json], ask: Ask, since: list[Said]) -> Reply:
    made = sum(len(said.calls) for said in since if said.role == "assistant")
    for step in steps:
        if made <= 0:
            return _reply(step, ask, since)
        made -= len(_wanted(step))
    return Reply(say="END-OF-SCRIPT")


def _wanted(step: Json) -> list[Json]:
    return [*step.get("call", ()), *([step["raw"]] if "raw" in step else ())]


def _reply(step: Json, ask: Ask, since: list[Said]) -> Reply:
    reply = Reply(**{key: step[key] for key in _AS_THEY_ARE if key in step})
    reply.think = _fill(step.get("think", ""), ask, since)
    reply.say = _fill(step.get("say", ""), ask, since)
    if "json" in step:
        reply.say = json.dumps(step["json"]) if ask.format.get("type", "text") != "text" else "NO-FORMAT-ASKED"
    for name, given in _wanted(step):
        tool = ask.tool(name)
        if tool is None:
            return Reply(say=f"NO-SUCH-TOOL {name} among {_names(ask)}")
        reply.calls.append(Call(tool, _fill(_argument(tool, given), ask, since)))
    return reply


def _argument(tool: Offered, given: object) -> str:
    """A custom tool that became a function takes the raw text as its one argument."""
    if isinstance(given, str):
        return given if tool.kind == "custom" else json.dumps({next(iter(tool.schema["properties"])): given})
    return json.dumps(given)


def _names(ask: Ask) -> str:
    return ",".join(sorted(tool.name for tool in ask.tools))


def _notes(ask: Ask) -> str:
    return " ".join(word for said in ask.said for word in re.findall(r"NOTE \w+=\w+", _SCRIPT.sub("", said.text)))


def _fill(text: str, ask: Ask, since: list[Said]) -> str:
    return _SEEN.sub(lambda match: _seen(match[1], match[2] or "", ask, since), text)


def _seen(what: str, which: str, ask: Ask, since: list[Said]) -> str:
    roles = {"systems": ("system", "developer"), "users": ("user",), "assistants": ("assistant",)}
    match what:
        case "tool":
            results = [said.text for said in since if said.role == "tool"]
            return results[int(which)] if int(which) < len(results) else "NO-RESULT"
        case "tools":
            return _names(ask)
        case "system":
            return " | ".join(said.text for said in ask.said if said.role in roles["systems"])
        case "systems" | "users" | "assistants":
            return str(sum(said.role in roles[what] for said in ask.said))
        case "images" | "files":
            return str(sum(said.images if what == "images" else said.files for said in ask.said))
        case "param":
            return json.dumps(ask.body.get(which), sort_keys=True)
        case "thoughts":
            return " | ".join(said.thoughts for said in ask.said if said.thoughts) or "NO-THOUGHTS"
        case "note":
            mark = re.escape(_NOTE.format(which))
            texts = [_SCRIPT.sub("", said.text) for said in ask.said]
            return next(
                (found[-1] for text in reversed(texts) if (found := re.findall(mark + r"(\w+)", text))), "FORGOTTEN"
            )
    raise ValueError(what)
