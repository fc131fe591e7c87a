"""What all kinds of samples are drawn from: seeded choices, names, made-up words, and the pools kept for evaluation."""

import random
import zlib
from collections.abc import Sequence
from typing import Any, TypeVar

from render import Message
from words import ANIMALS, COLORS, FRUITS, NAMES, OBJECTS, TEXT_WORDS

T = TypeVar("T")

ME = "I am a tiny demo model bundled with this server."
CONNECT = "Connect a real backend for real answers."
FALLBACK = f"I am only a tiny demo model, so I cannot answer that. {CONNECT}"
NO_TOOL = f"I have no tool for that, so I do not know. {CONNECT}"
DIRECT = "This is a simple request. I will answer it directly."

POLITE = ("Please ", "Hey, ", "Can you tell me: ", "Quick question: ")
ONSETS = "b c d f g h j k l m n p r s t v w z br tr pl st ch th gr kl zy qu".split()
VOWELS = "a e i o u ai oo ee ou y".split()
CODAS = ("", "", "n", "r", "x", "l", "t", "s", "rk", "ng")


def kept_for_evaluation(text: str) -> bool:
    """Stable split of open pools: an eighth is never seen in training."""
    return zlib.crc32(text.lower().encode()) % 8 == 0


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


class Source:
    def __init__(self, seed: int = 0, held_out: bool = False) -> None:
        """A generator of samples. With `held_out`, names, words, codes and sums come from the pools kept back."""
        self.random = random.Random(seed)
        self.held_out = held_out
        self.names = [name for name in NAMES if kept_for_evaluation(name) == held_out]

    def pick(self, *options: T) -> T:
        return self.random.choice(options)

    def of(self, pool: Sequence[T]) -> T:
        return self.random.choice(pool)

    def some(self, pool: Sequence[T], count: int) -> list[T]:
        return self.random.sample(pool, count)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def number(self, low: int = 0, high: int = 99) -> int:
        return self.random.randint(low, high)

    def ours(self, text: str) -> bool:
        """Whether a text belongs to this generator's side of the split."""
        return kept_for_evaluation(text) == self.held_out

    def word(self) -> str:
        """A pronounceable made-up word, so that copying cannot be learnt by heart."""
        while True:
            syllables = "".join(self.of(ONSETS) + self.of(VOWELS) for _ in range(self.number(1, 3)))
            word = syllables + self.of(CODAS)
            if len(word) > 2 and self.ours(word):
                return word

    def name(self) -> str:
        return self.of(self.names) if self.chance(0.6) else capital(self.word())

    def code(self, digits: int = 4) -> str:
        while True:
            code = "".join(self.of("0123456789") for _ in range(digits))
            if self.ours(code):
                return code

    def phrase(self, low: int, high: int) -> str:
        """A few words in no order that makes sense."""
        words = [self.phrase_word() for _ in range(self.number(low, high))]
        text = " ".join(words)
        text = capital(text) if self.chance(0.4) else text
        return text + (self.pick(".", "!", "?") if self.chance(0.3) else "")

    def phrase_word(self) -> str:
        kind = self.random.random()
        if kind < 0.45:
            return self.of(TEXT_WORDS)
        if kind < 0.75:
            return capital(self.word()) if self.chance(0.3) else self.word()
        if kind < 0.85:
            return self.of(ANIMALS + COLORS + FRUITS + OBJECTS)
        return str(self.number(0, 999)) if kind < 0.93 else self.name()

    def ask(self, templates: Sequence[str], **values: Any) -> str:
        """A question in one of several wordings, with some noise: manners, case, punctuation."""
        text = self.of(templates).format(**values)
        if self.chance(0.06):
            text = self.of(POLITE) + text
        if self.chance(0.12):
            text = text.lower()
        if self.chance(0.12):
            text = text.rstrip("?.!")
        return text

    def say(self, templates: Sequence[str], **values: Any) -> str:
        return self.of(templates).format(**values)


def turn(question: str, answer: str, thought: str = DIRECT) -> list[Message]:
    return [
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer, "reasoning_content": thought},
    ]


def system(text: str) -> Message:
    return {"role": "system", "content": text}
