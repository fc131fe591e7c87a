"""Saying back what was given: repeated words, a fact from a text, a judgement about a sentence."""

from render import Message
from source import Source, capital, turn
from words import ANIMALS, CITIES, COLORS, FOODS, FRUITS, NOUNS, OBJECTS, TEXT_WORDS

ONE_WORD = (
    "Reply with only the word {w}.",
    "Say {w}.",
    "Reply with exactly: {w}",
    "Just say {w}",
    "Answer with the single word {w}.",
    "Say the word {w}",
    "Reply with the word '{w}'.",
    'Respond with "{w}" and nothing else.',
)
SOME_TIMES = ("Say {w} {spoken} times.", "Repeat {w} {n} times.", 'Write the word "{w}" {spoken} times.')
REPEAT = (
    "Repeat after me: {s}",
    'Say "{s}"',
    "Reply with exactly: {s}",
    "Echo: {s}",
    "Repeat: {s}",
    'Please repeat "{s}"',
    "Say exactly this: {s}",
    "Repeat this sentence: {s}",
    "echo {s}",
)
ABOUT_TEXT = ("{text}\n{q}", "Context: {text}\n\nQuestion: {q}", "{text} {q}", "Read this: {text}\n\n{q}")
FACT_KINDS = (  # a sentence, and the questions that it answers
    ("The {s} opens at {time}.", ("When does the {s} open?", "What time does the {s} open?")),
    ("The {s} costs {price} {money}.", ("How much does the {s} cost?", "What is the price of the {s}?")),
    ("The {s} is {color}.", ("What color is the {s}?", "Which color is the {s}?")),
    ("The {s} belongs to {name}.", ("Who owns the {s}?", "Who does the {s} belong to?")),
    ("The {s} is in {city}.", ("Where is the {s}?", "In which city is the {s}?")),
)
GOOD = "great wonderful amazing perfect lovely excellent fantastic".split()
BAD = "terrible awful bad horrible broken useless boring".split()
LIKE, DISLIKE = ("love", "like", "enjoy"), ("hate", "dislike", "regret")
REVIEWS = ("This {thing} is {w}.", "I {v} this {thing}.", "What a {w} {thing}!", "The {thing} was {w} and I {v} it.")
CLASSIFY = (
    "Classify the sentiment as positive or negative: {s}",
    "Is this positive or negative? {s}",
    "Sentiment: {s}",
    "What is the sentiment of this review? {s}",
)


class Copying(Source):
    def echo(self) -> list[Message]:
        kind = self.random.random()
        if kind < 0.25:
            word = self.of(
                [self.word(), self.of(TEXT_WORDS), self.of(TEXT_WORDS).upper(), self.code(), capital(self.word())]
            )
            return turn(self.say(ONE_WORD, w=word), word, f"I should reply with: {word}")
        if kind < 0.35:
            word, count = self.pick(self.word(), self.of(ANIMALS), self.of(FRUITS), "hello", "ha"), self.number(2, 5)
            spoken = ("two", "three", "four", "five")[count - 2]
            question = self.say(SOME_TIMES, w=word, n=count, spoken=spoken)
            return turn(question, " ".join([word] * count), f"I should say {word} {spoken} times.")
        text = self.phrase(1, 7)
        return turn(self.say(REPEAT, s=text), text, f"I should repeat: {text}")

    def passage(self) -> list[Message]:
        """Look a sentence up in a text, as an answer from a document or from a tool's output needs it."""
        facts = [self.fact(subject) for subject in self.some(NOUNS + OBJECTS, self.number(2, 4))]
        text = self.pick(" ", " ", "\n").join(sentence for sentence, _ in facts)
        answer, question = self.of(facts)
        return turn(self.say(ABOUT_TEXT, text=text, q=question), answer, f"The text says: {answer}")

    def fact(self, subject: str) -> tuple[str, str]:
        sentence, questions = self.of(FACT_KINDS)
        values = {
            "time": f"{self.number(1, 23)}:{self.pick('00', '15', '30', '45')}",
            "price": self.number(1, 900),
            "money": self.pick("dollars", "euros"),
            "color": self.of(COLORS),
            "name": self.name(),
            "city": self.of(CITIES),
        }
        return sentence.format(s=subject, **values), self.of(questions).format(s=subject)

    def sentiment(self) -> list[Message]:
        positive = self.chance(0.5)
        word, verb = (self.of(GOOD), self.of(LIKE)) if positive else (self.of(BAD), self.of(DISLIKE))
        review = self.say(REVIEWS, thing=self.of(NOUNS + FOODS + OBJECTS), w=word, v=verb)
        answer = "positive" if positive else "negative"
        return turn(self.say(CLASSIFY, s=review), answer, f"This sounds {answer}.")
