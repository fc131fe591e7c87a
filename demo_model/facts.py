"""The little that the model knows about the world, and free texts about it: stories and poems."""

from collections.abc import Sequence

from render import Message
from source import Source, article, capital, turn
from words import (
    ADJECTIVES,
    ANIMALS,
    CAPITALS,
    COLORS,
    DAYS,
    FACTS,
    FOODS,
    FRUITS,
    INSTRUMENTS,
    JOBS,
    LANGUAGES,
    MONTHS,
    OBJECTS,
    OPPOSITES,
    PLACES,
    PLANETS,
    QUIZ,
    SPORTS,
    TONGUES,
    TRANSLATIONS,
    VEGETABLES,
    VIRTUES,
)

CAPITAL_OF = (
    "What is the capital of {country}?",
    "Capital of {country}?",
    "Name the capital of {country}.",
    "Which city is the capital of {country}?",
    "What's the capital of {country}?",
    "Tell me the capital of {country}.",
)
COUNTRY_OF = ("{city} is the capital of which country?", "Which country has {city} as its capital?")
COLOR_OF = ("What {color} is {thing}?", "Which {color} is {thing}?", "What is the {color} of {thing}?")
OPPOSITE_OF = ("What is the opposite of {a}?", "Opposite of {a}?", "Give me the opposite of {a}.")
AFTER = ("What {what} comes after {x}?", "Which {what} is after {x}?", "What comes after {x}?")
BEFORE = ("What {what} comes before {x}?", "Which {what} is before {x}?")
TRANSLATE = ("How do you say {word} in {tongue}?", "Translate {word} to {tongue}.", 'What is "{word}" in {tongue}?')
LIST = ("List {n} {what}.", "Name {n} {what}.", "Give me {n} {what}.", "Write a list of {n} {what}.")
LISTS = {
    "colors": COLORS,
    "animals": ANIMALS,
    "fruits": FRUITS,
    "vegetables": VEGETABLES,
    "sports": SPORTS,
    "planets": PLANETS,
    "instruments": INSTRUMENTS,
    "programming languages": LANGUAGES,
    "days": DAYS,
    "months": MONTHS,
    "capitals": [city for _, city in CAPITALS],
}
HEROES = [*ANIMALS, *"robot dragon princess wizard knight pirate astronaut".split()]
STORY = (
    "Tell me a story about {hero}.",
    "Write a short story about {hero}.",
    "Tell me a short story about {hero}.",
    "Write a tale about {hero}.",
    "Make up a story about {hero}.",
    "Write a bedtime story about {hero}.",
)
LONG_STORY = ("Write a long story about {hero}.", "Tell me a long story about {hero}.")
ONE_SENTENCE = ("Tell me a one sentence story about {hero}.", "Write one sentence about {hero}.")
POEM = ("Write a poem about the {t}.", "Write a short poem about a {t}.", "Give me a poem about the {t}.")
HAIKU = ("Write a haiku about the {t}.", "Write a haiku about a {t}.", "Haiku about the {t}.")


class Facts(Source):
    def facts(self) -> list[Message]:
        capitals, others = [self.capital_city] * 3, [self.color, self.opposite, self.neighbour]
        return self.of([*capitals, *others, self.translation, self.list_of, self.quiz])()

    def capital_city(self) -> list[Message]:
        country, city = self.of(CAPITALS)
        if self.chance(0.75):
            thought = f"The user asks for the capital of {country}. It is {city}."
            return turn(self.ask(CAPITAL_OF, country=country), f"The capital of {country} is {city}.", thought)
        answer = f"{city} is the capital of {country}."
        return turn(self.ask(COUNTRY_OF, city=city), answer, answer)

    def color(self) -> list[Message]:
        thing, color = self.of(FACTS)
        return turn(
            self.ask(COLOR_OF, color=self.pick("color", "colour"), thing=thing), f"{capital(thing)} is {color}."
        )

    def opposite(self) -> list[Message]:
        a, b = self.some(self.of(OPPOSITES), 2)
        return turn(self.ask(OPPOSITE_OF, a=a), f"The opposite of {a} is {b}.")

    def neighbour(self) -> list[Message]:
        pool, what = self.pick((DAYS, "day"), (MONTHS, "month"))
        i = self.number(0, len(pool) - 1)
        if self.chance(0.6):
            return turn(self.ask(AFTER, what=what, x=pool[i]), f"{pool[(i + 1) % len(pool)]} comes after {pool[i]}.")
        return turn(self.ask(BEFORE, what=what, x=pool[i]), f"{pool[i - 1]} comes before {pool[i]}.")

    def translation(self) -> list[Message]:
        word, i = self.of(list(TRANSLATIONS)), self.number(0, len(TONGUES) - 1)
        answer = f'"{word.capitalize()}" in {TONGUES[i]} is "{TRANSLATIONS[word][i]}".'
        return turn(self.ask(TRANSLATE, word=word, tongue=TONGUES[i]), answer)

    def list_of(self) -> list[Message]:
        what, count = self.of(list(LISTS)), self.number(2, 5)
        spoken = self.pick(str(count), ("two", "three", "four", "five")[count - 2])
        return turn(self.ask(LIST, n=spoken, what=what), ", ".join(LISTS[what][:count]))

    def quiz(self) -> list[Message]:
        question, answer = self.of(QUIZ)
        return turn(self.ask([question]), answer)

    def story(self) -> list[Message]:
        hero = self.pick(self.of(HEROES), self.of(JOBS), self.word())
        full = f"{hero} named {self.name()}" if self.chance(0.15) else hero
        start, body, more = self.plot(full, hero)
        kind = self.random.random()
        questions: Sequence[str]
        if kind < 0.1:
            questions, told = LONG_STORY, [start + ".", *body, *more]
        elif kind < 0.3:
            questions, told = ONE_SENTENCE, [f"{start} and found an old {self.of(OBJECTS)}."]
        else:
            questions, told = STORY, [start + ".", *body]
        about = f"{article(hero)} {full}"
        thought = f"The user wants a story about {about}. I will write one."
        return turn(self.ask(questions, hero=about), " ".join(told), thought)

    def plot(self, full: str, hero: str) -> tuple[str, list[str], list[str]]:
        """The first sentence without its full stop, the rest of a story, and how a long one goes on."""
        place, thing, virtue, friend = self.of(PLACES), self.of(OBJECTS), self.of(VIRTUES), self.of(ANIMALS)
        one, other = self.of(ADJECTIVES), self.of(ADJECTIVES)
        body = [
            f"One day, the {hero} found an old {thing} near the {self.of(PLACES)}.",
            f"It belonged to {article(other)} {other} {friend} who had lost it long ago.",
            f"The {hero} gave the {thing} back to the {friend}.",
            f"From that day on, the {hero} and the {friend} were friends, and everyone in the {place} learned about {virtue}.",
        ]
        more = [
            f"The next morning, the two friends walked to the {self.of(PLACES)}.",
            f"There they met a {self.of(ANIMALS)} with a {self.of(OBJECTS)}.",
            f"They shared some {self.of(FOODS)} and told each other stories.",
            "In the evening, the stars came out and the wind was calm.",
            f"The {friend} said that {virtue} was worth more than gold.",
            f"And the {hero} slept well, happy to be home again.",
        ]
        return f"Once upon a time, {article(one)} {one} {full} lived in the {place}", body, more

    def poem(self) -> list[Message]:
        things = ANIMALS + OBJECTS + PLACES + FOODS + "sea moon sun rain sky night".split()
        t, one, other = self.of(things), self.of(ADJECTIVES), self.of(ADJECTIVES)
        if self.chance(0.5):
            question = self.ask(POEM, t=t)
            answer = (
                f"O {one} {t}, so {one} and bright,\nyou keep me company tonight.\n"
                f"O {one} {t}, so {other} and free,\nplease come and sing a song with me."
            )
        else:
            question = self.ask(HAIKU, t=t)
            answer = f"The {one} {t} waits,\nquiet in the morning light.\nA new day begins."
        return turn(question, answer, f"The user wants a poem about the {t}.")
