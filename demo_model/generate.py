"""The mixture: which kinds of conversations the model learns, how often, and what stands around them.

`python generate.py` prints two samples of every kind.
"""

from file_tasks import FileTasks
from render import Message, Sample, render
from source import system
from tool_tasks import Tool
from words import ADJECTIVES, NOUNS, VERBS

MIX = {
    "greeting": 1.5,
    "small_talk": 3,
    "identity": 3,
    "fallback": 9,
    "no_tools": 4,
    "hello_words": 5,
    "counting": 6,
    "arithmetic": 34,
    "facts": 10,
    "echo": 9,
    "passage": 6,
    "sentiment": 1.5,
    "story": 2,
    "poem": 0.8,
    "recall": 9,
    "unknown_recall": 0.7,
    "persona": 6,
    "as_json": 13,
    "tools": 17,
    "lookup": 14,
    "files": 18,
}
GOES_ON = ("greeting", "small_talk", "identity", "facts", "arithmetic", "echo", "hello_words")
INSTRUCTIONS = (
    "You are a helpful assistant.",
    "You are a friendly assistant.",
    "Be concise.",
    "Be helpful and brief.",
    "You are a demo assistant.",
    "You are a helpful, honest assistant. Answer briefly.",
)
RULES = (
    "You must {verb} the {noun} before you {verb2} the {noun2}.",
    "Never {verb} a {noun} without a {noun2}.",
    "- Use the {noun} when the {noun2} is {adjective}.",
    "# The {noun} and the {noun2}",
    "Keep every {noun} {adjective} and {adjective2}.",
    "If the user asks for a {noun}, {verb} it.",
)


class Generator(FileTasks):
    def sample(self, kind: str | None = None, think: bool | None = None) -> Sample:
        kind = kind or self.random.choices(list(MIX), list(MIX.values()))[0]
        think = self.chance(0.2) if think is None else think
        with_tools = {"tools": self.with_tools, "files": self.files}.get(kind)
        tools, messages = with_tools() if with_tools else ([], getattr(self, kind)())
        if kind in GOES_ON and self.chance(0.15):
            messages = messages + self.simple()
        if kind == "no_tools" and self.chance(0.3):
            tools = self.useless_tools()
        messages = self.in_context(messages)
        return {"kind": kind, "messages": messages, "tools": tools, "think": think}

    def useless_tools(self) -> list[Tool]:
        return [self.made_up_tool()[0] for _ in range(self.number(1, 2))]

    def in_context(self, messages: list[Message]) -> list[Message]:
        """Sometimes with other instructions around, long ones too, or with another user message before."""
        own = [m for m in messages if m["role"] == "system"]
        talk = messages[len(own) :]
        if self.chance(0.04):
            own.append(system(self.long_instructions()))
        elif self.chance(0.22):
            own.append(system(self.of(INSTRUCTIONS)))
        if self.chance(0.7):
            own.reverse()
        if self.chance(0.03):
            talk = [{"role": "user", "content": self.first_of_two()}, *talk]
        return own + talk

    def long_instructions(self) -> str:
        """As agents send them; nothing in here matters."""
        return self.pick("\n", " ").join(self.rule() for _ in range(self.number(4, 40)))

    def rule(self) -> str:
        nouns = {"noun": self.of(NOUNS), "noun2": self.of(NOUNS)}
        others = {"verb": self.of(VERBS), "verb2": self.of(VERBS)}
        adjectives = {"adjective": self.of(ADJECTIVES), "adjective2": self.of(ADJECTIVES)}
        return self.say((*RULES, self.of(INSTRUCTIONS)), **nouns, **others, **adjectives)

    def first_of_two(self) -> str:
        """Two user messages in a row: the last one counts."""
        context = f"<environment_context>\n<cwd>/home/user/{self.word()}</cwd>\n</environment_context>"
        return self.of([context, "Hello.", "I have a question.", self.phrase(2, 6)])


def main() -> None:
    generator = Generator(1)
    for kind in MIX:
        for _ in range(2):
            text = "".join(text for text, _ in render(generator.sample(kind)))
            print(f"--- {kind}\n{text}")


if __name__ == "__main__":
    main()
