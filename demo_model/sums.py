"""Counting and arithmetic. Every digit is a token; an answer repeats the sum, which is easy to copy, then solves it."""

from collections.abc import Iterable

from render import Message
from source import Source, turn

UP = ("Count from {low} to {high}.", "Count from {low} up to {high}.", "List the numbers from {low} to {high}.")
FROM_ONE = ("Count from 1 to {high}.", "Count to {high}.", "List the numbers from 1 to {high}.")
DOWN = ("Count down from {high} to 1.", "Count backwards from {high} to 1.", "Count down from {high}.")
STEPS = {2: "twos", 5: "fives", 10: "tens"}
SYMBOLS = (
    "What is {a} {o} {b}?",
    "{a} {o} {b}",
    "{a}{o}{b}=?",
    "Calculate {a} {o} {b}.",
    "Compute {a} {o} {b}.",
    "What is {a} {word} {b}?",
    "How much is {a} {word} {b}?",
)
WORDS = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}


class Sums(Source):
    def counting(self) -> list[Message]:
        question, numbers = self.count()
        return turn(question, ", ".join(map(str, numbers)), "The user wants me to count. I will list the numbers.")

    def count(self) -> tuple[str, Iterable[int]]:
        kind = self.random.random()
        if kind < 0.375:
            high = self.number(2, 20)
            return self.ask(FROM_ONE, high=high), range(1, high + 1)
        if kind < 0.5:
            low = self.number(2, 30)
            high = low + self.number(2, 9)
            return self.ask(UP, low=low, high=high), range(low, high + 1)
        if kind < 0.52:
            high = self.pick(30, 40, 50)
            return self.ask(FROM_ONE, high=high), range(1, high + 1)
        if kind < 0.8:
            high = self.number(3, 12)
            return self.ask(DOWN, high=high), range(high, 0, -1)
        step, count = self.of(list(STEPS)), self.number(3, 10)
        question = self.ask(("Count by {s} to {n}.", "Count to {n} by {s}."), s=STEPS[step], n=step * count)
        return question, range(step, step * count + 1, step)

    def arithmetic(self) -> list[Message]:
        operator = self.of("++++----**/")
        if operator in "+-":
            a, b, result, thought = self.add_or_subtract(operator)
        else:
            a, b, result, thought = self.multiply_or_divide(operator)
        symbol = self.pick("x", "*", "×") if operator == "*" else operator
        question = self.ask(SYMBOLS, a=a, o=symbol, b=b, word=WORDS[operator])
        return turn(question, f"{a} {operator} {b} = {result}", thought)

    def add_or_subtract(self, operator: str) -> tuple[int, int, int, str]:
        a, b = self.operands(operator)
        sign = 1 if operator == "+" else -1
        result, tens, ones = a + sign * b, b // 10 * 10, b % 10
        thought = f"{a} {operator} {b} = {result}."
        if tens and ones:
            first = f"{a} {operator} {tens} {operator} {ones}"
            thought = f"{a} {operator} {b} = {first} = {a + sign * tens} {operator} {ones} = {result}."
        return a, b, result, thought

    def operands(self, operator: str) -> tuple[int, int]:
        """Two numbers, more often small ones. Pairs of two-digit numbers are split into seen and held out."""
        while True:
            top = self.pick(10, 20, 50, 99, 99, 99)
            a, b = self.number(0, top), self.number(0, top)
            if operator == "-":
                a, b = max(a, b), min(a, b)
            elif a + b > 99 and self.chance(0.8):
                continue
            if min(a, b) < 10 or self.ours(f"{a}{operator}{b}"):
                return a, b

    def multiply_or_divide(self, operator: str) -> tuple[int, int, int, str]:
        a, b = self.number(1, 10), self.number(1, 10)
        if operator == "*":
            return a, b, a * b, f"{a} * {b} = {a * b}."
        b = max(2, b)
        return a * b, b, a, f"{b} * {a} = {a * b}, so {a * b} / {b} = {a}."
