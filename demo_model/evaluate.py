"""How often the model is right, through the real engine at temperature 0, on pools that the training never used.

Stories and poems are free text: one counts when it ends by itself and is about what was asked.
"""

import argparse
import json
import re
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import xllamacpp
from generate import MIX, Generator
from render import Message, Sample
from words import JOKES

LIMIT = 300  # tokens of an answer
EXAMPLES = 3  # wrong answers shown per kind
FIXED = (
    "Say hello in five words.",
    "Say hi in three words.",
    "Hello",
    "Who are you?",
    "What can you do?",
    "What is 2 + 2?",
    "2 + 2",
    "What is 17 + 25?",
    "What is 7 times 8?",
    "Count from 1 to 5.",
    "Count to 10.",
    "What is the capital of France?",
    "What color is the sky?",
    "Repeat after me: blue zorp 42",
    "Say ping.",
    "What is the weather in Paris?",
    "What is the weather like today?",
    "Explain quantum entanglement.",
    "Write a Python function that reverses a string.",
    "Who won the world cup in 1998?",
    "Tell me a joke.",
    "Write a haiku about the sea.",
    "My name is Ada.",
    "What is my name?",
)


class Engine:
    """The embedded engine, with the model in this process."""

    def __init__(self, model: Path, threads: int = 1) -> None:
        params = xllamacpp.CommonParams()
        params.model.path, params.n_ctx, params.n_parallel, params.verbosity, params.port = str(model), 8192, 1, 0, 0
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        self.server = xllamacpp.Server(params)
        self.tokens = 0

    def ask(self, messages: list[Message], tools: list[Any] | None = None, think: bool = False, **options: Any) -> Any:
        body = {"messages": on_the_wire(messages), "temperature": 0, "max_tokens": LIMIT, **options}
        body["chat_template_kwargs"] = {"enable_thinking": think}
        if tools:
            body["tools"] = tools
        response = self.server.handle_chat_completions(body)
        self.tokens += response["usage"]["completion_tokens"]
        return response["choices"][0]


def on_the_wire(messages: list[Message]) -> list[Message]:
    """Messages as chat completions have them: no reasoning of earlier turns, arguments as text, ids."""
    out = []
    for i, message in enumerate(messages):
        sent = {key: value for key, value in message.items() if key not in ("reasoning_content", "tool_calls")}
        if message.get("tool_calls"):
            sent["tool_calls"] = [
                {
                    "id": f"call_{i}_{j}",
                    "type": "function",
                    "function": {"name": c["function"]["name"], "arguments": json.dumps(c["function"]["arguments"])},
                }
                for j, c in enumerate(message["tool_calls"])
            ]
        out.append(sent)
    return out


def calls_of(message: Message) -> list[Any] | None:
    try:
        return [
            (c["function"]["name"], json.loads(c["function"]["arguments"])) for c in message.get("tool_calls") or []
        ]
    except ValueError:
        return None


def is_right(kind: str, wanted: Message, choice: dict[str, Any]) -> bool:
    if choice["finish_reason"] == "length":
        return False
    got = choice["message"]
    if wanted.get("tool_calls"):
        return calls_of(got) == [(c["function"]["name"], c["function"]["arguments"]) for c in wanted["tool_calls"]]
    text, expected = (got.get("content") or "").strip(), wanted["content"].strip()
    if expected in JOKES:
        return text in JOKES
    if kind == "story":
        return is_story(text, expected)
    if kind == "poem":
        return text.count("\n") == expected.count("\n") and bool(
            {*text.split("\n")[-1:]} & {*expected.split("\n")[-1:]}
        )
    return text == expected and not got.get("tool_calls")


def is_story(text: str, expected: str) -> bool:
    """It starts as stories start, and its hero is the one asked for."""
    hero = re.search(r"time, an? \w+ (.+?) lived", expected)
    return hero is not None and text.startswith("Once upon a time") and hero.group(1) in text


@dataclass
class Score:
    right: int = 0
    total: int = 0

    def __str__(self) -> str:
        return f"{self.right / max(1, self.total):.2f} ({self.total})"


@dataclass
class Report:
    scores: dict[tuple[str, str], Score] = field(default_factory=lambda: defaultdict(Score))
    wrong: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, row: str, column: str, right: bool, example: str) -> None:
        score = self.scores[row, column]
        score.right, score.total = score.right + right, score.total + 1
        if not right and len(self.wrong[row]) < EXAMPLES:
            self.wrong[row].append(example)

    def table(self) -> str:
        rows = list(dict.fromkeys(row for row, _ in self.scores))
        columns = list(dict.fromkeys(column for _, column in self.scores))
        lines = [f"{'kind':16}" + "".join(f"{column:>22}" for column in columns)]
        lines += [f"{row:16}" + "".join(f"{self.scores[row, c]!s:>22}" for c in columns) for row in rows]
        return "\n".join(lines)


def answers(sample: Sample) -> list[int]:
    """The places of what the model has to say after the last message of the user."""
    messages = sample["messages"]
    last_user = max(i for i, m in enumerate(messages) if m["role"] == "user")
    return [i for i, m in enumerate(messages) if m["role"] == "assistant" and i > last_user]


def row_of(sample: Sample, wanted: Message) -> str:
    if sample["kind"] not in ("tools", "files"):
        return str(sample["kind"])
    tool = "tool" if sample["kind"] == "tools" else "file"
    after_call = sample["messages"][sample["messages"].index(wanted) - 1]["role"] == "tool"
    if wanted.get("tool_calls"):
        return "tool call" if tool == "tool" else "file search"
    return f"{tool} result" if after_call else f"{tool} not needed"


def judge(engine: Engine, report: Report, sample: Sample, column: str) -> None:
    messages = sample["messages"]
    for i in answers(sample):
        wanted, before = messages[i], messages[:i]
        choice = engine.ask(before, sample["tools"], sample["think"])
        got, said = choice["message"], wanted.get("tool_calls") or wanted["content"]
        heard = got.get("tool_calls") or got.get("content")
        example = f"{before[-1]['content'][-100:]!r}\n    wanted {said!r}\n    got    {heard!r}"
        report.add(row_of(sample, wanted), column, is_right(last_kind(sample, wanted), wanted, choice), example)


def last_kind(sample: Sample, wanted: Message) -> str:
    free = ("story", "poem")
    return sample["kind"] if sample["kind"] in free and wanted is sample["messages"][-1] else "exact"


def run(engine: Engine, count: int) -> Report:
    report = Report()
    for column, held_out, think in (
        ("held out", True, False),
        ("held out, thinking", True, True),
        ("seen", False, False),
    ):
        generator = Generator(seed=4242, held_out=held_out)
        for kind in MIX:
            for _ in range(count):
                judge(engine, report, generator.sample(kind, think), column)
    return report


def fixed_prompts(engine: Engine) -> str:
    lines = []
    for prompt in FIXED:
        choice = engine.ask([{"role": "user", "content": prompt}])
        said = choice["message"].get("tool_calls") or choice["message"]["content"]
        lines.append(f"{prompt}\n    {said!r} ({choice['finish_reason']})")
    return "\n".join(lines)


def write(model: Path, count: int, out: TextIO) -> None:
    engine, start = Engine(model), time.time()
    report = run(engine, count)
    seconds = time.time() - start
    print(
        "antiphon-demo, q8_0, temperature 0, through xllamacpp: share of right answers (number of questions)\n",
        file=out,
    )
    print(report.table(), file=out)
    print(f"\n{engine.tokens} tokens in {seconds:.0f} s\n\nSome prompts\n\n{fixed_prompts(engine)}", file=out)
    print("\nSome wrong answers", file=out)
    for row, examples in report.wrong.items():
        print(f"\n{row}", *examples, sep="\n  ", file=out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--count", type=int, default=60, help="conversations per kind")
    parser.add_argument("--out", type=Path, help="a file; the screen without it")
    args = parser.parse_args()
    if args.out:
        with args.out.open("w") as out:
            write(args.model, args.count, out)
    else:
        write(args.model, args.count, sys.stdout)


if __name__ == "__main__":
    main()
