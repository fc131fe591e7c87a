"""Over several turns, and under instructions: recall what the user told, keep to a persona."""

from collections.abc import Callable
from dataclasses import dataclass

from copying import Copying
from facts import Facts
from render import Message
from small_talk import SmallTalk
from source import capital, system, turn
from sums import Sums
from words import ANIMALS, CITIES, COLORS, FOODS, JOBS, TEXT_WORDS


@dataclass
class Told:
    """Something that a user says about themselves, how it is taken, asked for, and remembered."""

    statement: str
    reply: str
    questions: tuple[str, ...]
    answer: str
    missing: str


REMEMBER = "The user tells me something. I will remember it."
NAME_IS = (
    "My name is {n}.",
    "My name is {n}.",
    "I'm {n}.",
    "Hi, I am {n}.",
    "Call me {n}.",
    "Hello, my name is {n}.",
    "Hi! My name is {n}.",
    "Please remember that my name is {n}.",
)
ASK_NAME = (
    "What is my name?",
    "What's my name?",
    "Who am I?",
    "Do you remember my name?",
    "Can you tell me my name?",
)
CODE_IS = ("Remember the code {c}.", "The secret number is {c}.", "My code is {c}.")
ASK_CODE = ("What is the code?", "What was the code?", "What is the secret number?", "What number did I tell you?")
LIKED = "I will remember that you like {}."
ASK_CITY = ("Where do I live?", "Which city do I live in?")
ASK_AGE = ("How old am I?", "What is my age?")
ASK_JOB = ("What is my job?", "What do I do for work?")
ASK_FOOD = ("What is my favorite food?", "What do I like to eat?")
COLOR_IS = ("My favorite color is {c}.", "My favourite colour is {c}.")
ASK_COLOR = ("What is my favorite color?", "Which color do I like?", "What's my favourite colour?")
NAMED = (
    "Your name is {n}.",
    "You are {n}.",
    "You are an assistant called {n}.",
    "You are a helpful assistant named {n}.",
)
PIRATE = (
    "Talk like a pirate.",
    "You are a pirate.",
    "Answer like a pirate.",
    "You are a coding assistant that talks like a pirate.",
    "You speak like a pirate.",
)
ONLY = ("Always reply with the word {w}.", "Reply only with {w}.", 'Whatever the user says, answer "{w}".')
END = ("End every answer with the word {w}.", "Always end with {w}.")
START = ("Start every answer with the word {w}.", "Always begin with {w}.")


class Memory(SmallTalk, Sums, Facts, Copying):
    def told(self) -> dict[str, Told]:
        """Everything a user may tell, with the values of this conversation."""
        return {**self.told_about_self(), **self.told_about_taste(), **self.told_about_others()}

    def told_about_self(self) -> dict[str, Told]:
        name, city, job, age = self.name(), self.of(CITIES), self.of(JOBS), self.number(5, 95)
        at_home = self.pick(f"I live in {city}.", f"My home is in {city}.")
        years = f"I will remember that you are {age}."
        return {
            "name": Told(
                self.say(NAME_IS, n=name), f"Nice to meet you, {name}!", ASK_NAME, f"Your name is {name}.", "your name"
            ),
            "city": Told(at_home, f"{city} is a nice place.", ASK_CITY, f"You live in {city}.", "where you live"),
            "age": Told(f"I am {age} years old.", years, ASK_AGE, f"You are {age} years old.", "your age"),
            "job": Told(
                f"I work as a {job}.",
                f"Being a {job} sounds interesting.",
                ASK_JOB,
                f"You work as a {job}.",
                "your job",
            ),
        }

    def told_about_taste(self) -> dict[str, Told]:
        color, food = self.of(COLORS), self.of(FOODS)
        best = f"Your favorite color is {color}."
        return {
            "color": Told(self.say(COLOR_IS, c=color), LIKED.format(color), ASK_COLOR, best, "your favorite color"),
            "food": Told(
                f"My favorite food is {food}.",
                LIKED.format(food),
                ASK_FOOD,
                f"Your favorite food is {food}.",
                "your favorite food",
            ),
        }

    def told_about_others(self) -> dict[str, Told]:
        animal, pet, code = self.of(ANIMALS), self.name(), self.code()
        asked = ("What is the name of my pet?", f"What is my {animal} called?", "What pet do I have?")
        nice, keep = f"{pet} is a nice name for a {animal}.", f"I will remember the code {code}."
        return {
            "pet": Told(
                f"I have a {animal} named {pet}.", nice, asked, f"You have a {animal} named {pet}.", "about a pet"
            ),
            "code": Told(self.say(CODE_IS, c=code), keep, ASK_CODE, f"The code is {code}.", "a code"),
        }

    def recall(self) -> list[Message]:
        facts = self.told()
        keys = self.some(list(facts), self.number(1, 3)) if self.chance(0.6) else ["name"]
        if self.chance(0.06):
            return self.told_at_once(facts[keys[0]])
        messages: list[Message] = []
        for key in keys:
            messages += turn(facts[key].statement, facts[key].reply, REMEMBER)
            if self.chance(0.3):
                messages += self.simple()
        if self.chance(0.12):
            return messages + self.never_told(facts[self.of([key for key in facts if key not in keys])])
        for key in self.some(keys, self.number(1, len(keys))):
            thought = f"The user said: {facts[key].statement}"
            messages += turn(self.ask(facts[key].questions), facts[key].answer, thought)
        return messages

    def told_at_once(self, fact: Told) -> list[Message]:
        """The statement and the question without an answer between them."""
        first = {"role": "user", "content": fact.statement}
        return [first, *turn(self.ask(fact.questions), fact.answer, f"The user said: {fact.statement}")]

    def unknown_recall(self) -> list[Message]:
        facts = self.told()
        return self.never_told(facts[self.pick("name", "city", "age", "code", "color")])

    def never_told(self, fact: Told) -> list[Message]:
        answer = f"You have not told me {fact.missing} yet."
        return turn(self.ask(fact.questions), answer, f"The user did not tell me {fact.missing}.")

    def persona(self) -> list[Message]:
        return self.pick(self.named, self.pirate, self.only_word, self.ends_with, self.starts_with)()

    def named(self) -> list[Message]:
        name = self.name()
        question = self.ask(("What is your name?", "Who are you?", "What should I call you?"))
        messages = turn(question, f"My name is {name}.", f"The instructions say that my name is {name}.")
        return [system(self.say(NAMED, n=name)), *messages, *(self.task() if self.chance(0.3) else [])]

    def pirate(self) -> list[Message]:
        return self.under(self.of(PIRATE), lambda answer: f"Arrr! {answer}")

    def only_word(self) -> list[Message]:
        word = self.pick(self.word(), self.of(TEXT_WORDS), self.of(ANIMALS), self.word().upper())
        question = self.task()[0]["content"]
        return [system(self.say(ONLY, w=word)), *turn(question, word, f"The instructions say to reply with {word}.")]

    def ends_with(self) -> list[Message]:
        word = self.pick(self.word(), self.of(TEXT_WORDS), self.of(ANIMALS))
        return self.under(self.say(END, w=word), lambda answer: f"{answer} {word}")

    def starts_with(self) -> list[Message]:
        word = self.pick(capital(self.word()), capital(self.of(TEXT_WORDS)), "Sure", "Meow", "Yo")
        return self.under(self.say(START, w=word), lambda answer: f"{word}, {answer}")

    def under(self, instruction: str, change: Callable[[str], str]) -> list[Message]:
        messages = self.task()
        messages[-1]["content"] = change(messages[-1]["content"])
        return [system(instruction), *messages]

    def task(self) -> list[Message]:
        return self.pick(self.greeting, self.arithmetic, self.facts, self.facts)()

    def simple(self) -> list[Message]:
        kinds = (
            self.greeting,
            self.small_talk,
            self.arithmetic,
            self.facts,
            self.echo,
            self.hello_words,
            self.identity,
        )
        return self.of(kinds)()
