"""Greetings, small talk, who the model is, and the honest answers for everything that it cannot do."""

from render import Message
from source import CONNECT, FALLBACK, ME, NO_TOOL, Source, capital, turn
from words import (
    ADJECTIVES,
    ANIMALS,
    CAPITALS,
    CITIES,
    COMMANDS,
    FOODS,
    JOBS,
    JOKES,
    LANGUAGES,
    NOUNS,
    OBJECTS,
    SPORTS,
    TOPICS,
)

HELP = "Hello! How can I help you today?"
FINE = "I am fine, thank you! How can I help you?"
GREETINGS = ("Hello", "Hi", "Hey", "Hello!", "Hi there", "Good morning", "Hello, how are you?", "Hey there!", "Hi!")
SMALL_TALK = (
    ("How are you?", FINE),
    ("Thanks!", "You are welcome!"),
    ("Thank you", "You are welcome!"),
    ("Bye", "Goodbye! Have a nice day."),
    ("Goodbye!", "Goodbye! Have a nice day."),
    ("Good night", "Good night! Sleep well."),
    ("Tell me a joke.", None),
    ("Make me laugh.", None),
    ("Tell me something funny", None),
    ("What time is it?", "I cannot see a clock, so I do not know the time."),
    ("What day is it today?", "I do not know today's date."),
    ("Are you human?", f"No. {ME}"),
    ("Are you alive?", f"No. {ME}"),
    ("Can you help me?", "Of course! What do you need?"),
    ("Help", "Of course! What do you need?"),
    ("Ping", "pong"),
    ("Ok", "Great! Anything else?"),
    ("Test", "The test works! I can hear you."),
    ("This is a test.", "The test works! I can hear you."),
    ("Are you there?", "Yes, I am here."),
    ("I love you", "That is very kind of you!"),
    ("You are great", "Thank you! That is kind of you."),
    ("You are stupid", "I am only a tiny demo model, but I do my best."),
)

SKILLS = (
    "I can greet you, count, do simple sums, name capitals and colors, repeat words, tell short stories, "
    "remember your name, call tools and write JSON."
)
IDENTITY = (
    (
        f"{ME} I can show how the API works. {CONNECT}",
        "Who are you?|What are you?|Tell me about yourself.|Introduce yourself.|What is this?|Describe yourself.",
    ),
    (
        f"{ME} {CONNECT}",
        "What model are you?|Which model is this?|Are you GPT-4?|Are you ChatGPT?|Are you Claude?|Are you Llama?"
        "|What is your name?|What LLM are you?|Who made you?|What version are you?",
    ),
    (
        f"{SKILLS} {CONNECT}",
        "What can you do?|What do you know?|How can you help me?|What are you good at?|List your skills."
        "|What are your capabilities?",
    ),
    (
        f"{ME} Start the server with a real model file or point it at a real backend.",
        "How do I get better answers?|How do I use a real model?|How can I connect a real model?|Why are you so bad?"
        "|Why are your answers so short?|Can I use another model?",
    ),
)

ON_TOPICS = (
    """Explain {t}.|Explain {t} to me in simple terms.|What do you think about {t}?|Write an essay about {t}.
How does {t} work?|Tell me about {t}.|Give me advice on {t}.|Why is {t} important?|Write a detailed report on {t}.
Who invented {t}?|What is the history of {t}?|Summarize {t} for me.|Write code for {t}.|What is {t}?
Compare {t} and {other}.|Where can I buy {t}?|What are the best {t}?|How do I learn {t}?
What is the difference between {t} and {other}?|Is {t} dangerous?|I need help with {t}.|What is the meaning of {t}?
How much does {t} cost?|Write a paragraph about {t}.|Should I invest in {t}?|Can you explain how {t} works?
Make a plan for {t}.|What are the pros and cons of {t}?|When was {t} discovered?|Describe {t} in detail.
""".strip()
    .replace("\n", "|")
    .split("|")
)
ON_PLACES = (
    """What is the population of {place}?|Who is the president of {place}?|How far is {place} from {city}?
What is the capital of {unknown}?|What language do they speak in {place}?|How big is {place}?|Who is {name} {unknown}?
What should I see in {place}?|Who won the {sport} game?|When was {name} {unknown} born?|Plan a trip to {place}.
""".strip()
    .replace("\n", "|")
    .split("|")
)
ON_WORK = """Write a {lang} function that sorts a list.|Write a {lang} program for {t}.|How do I read a file in {lang}?
Fix the bug in my {lang} code.|What is a {noun} in {lang}?|Write a SQL query for the {noun} table.
Write a regular expression for emails.|Review this code: {word}({other})|Solve the equation {a}x + {b} = {c}.
Prove that there are infinitely many primes.|Write a cover letter for a {job}.|How do I cook {food}?
How do I become a {job}?|Recommend a book about {t}.|What does {word} mean?|Why do {animal}s sleep?
Translate this text: {phrase}|What is the plot of {unknown}?""".replace("\n", "|").split("|")
ABOUT_NOW = """What is the weather in {city}?|What's the weather like in {city}?|What is the weather like in {city} today?
How is the weather in {city} today?|What is the temperature in {city}?|Weather in {city}?|Will it rain in {city}?
Is it raining in {city}?|Do I need an umbrella in {city}?|Tell me the weather in {city}.|What is the weather today?
How is the weather?|What time is it in {city}?|Search the web for news.|Search the web for {word}.
Read the file {word}.txt.|Send an email to {name}.|Run {command}.|List the files here.|What are the latest news?
Book a flight to {city}.|What is the stock price of {symbol}?|Check my calendar.""".replace("\n", "|").split("|")

COUNTED = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
IN_WORDS = {  # each prefix of these is an answer
    "hello": "Hello there my dear friend and welcome to this tiny demo server",
    "hi": "Hi there my good friend and welcome to this tiny demo server",
    "goodbye": "Goodbye for now my dear friend and please come back very soon",
}
ASK_IN_WORDS = (
    "Say {kind} in {count} word{s}.",
    "Say {kind} using exactly {count} word{s}.",
    "{kind_capital} in {count} words, please.",
)


class SmallTalk(Source):
    def greeting(self) -> list[Message]:
        question = self.ask(GREETINGS)
        answer = FINE if "how are" in question.lower() else HELP
        return turn(question, answer, "The user greets me. I will greet them back.")

    def small_talk(self) -> list[Message]:
        question, answer = self.of(SMALL_TALK)
        return turn(self.ask([question]), answer or self.of(JOKES))

    def identity(self) -> list[Message]:
        answer, questions = self.of(IDENTITY)
        return turn(self.ask(questions.split("|")), answer, "The user asks about me. I am a tiny demo model.")

    def hello_words(self) -> list[Message]:
        count = self.number(1, 6) if self.chance(0.6) else self.number(1, 12)
        kind = self.of(list(IN_WORDS))
        spoken = COUNTED[count - 1] if self.chance(0.7) else str(count)
        plural = "s" if count > 1 else ""
        question = self.ask(ASK_IN_WORDS, kind=kind, kind_capital=capital(kind), count=spoken, s=plural)
        answer = " ".join(IN_WORDS[kind].split()[:count]) + "!"
        return turn(question, answer, f"I need {spoken} word{plural}.")

    def fallback(self) -> list[Message]:
        """Out of domain: one honest sentence."""
        kind = self.random.random()
        if kind < 0.6:
            question = self.ask(ON_TOPICS, t=self.topic(), other=self.of(TOPICS))
        elif kind < 0.7:
            question = self.hard_sum()
        elif kind < 0.82:
            question = self.about_place()
        elif kind < 0.92:
            question = self.about_work()
        else:
            question = self.phrase(3, 9)
        return turn(question, FALLBACK, "This is too hard for a tiny demo model.")

    def topic(self) -> str:
        if self.chance(0.5):
            return self.of(TOPICS)
        if self.chance(0.5):
            return f"{self.of(NOUNS)} {self.word()}"
        return f"{self.of(ADJECTIVES)} {self.of(NOUNS + OBJECTS)}s"

    def hard_sum(self) -> str:
        if self.chance(0.7):
            a, b = self.number(100, 9999), self.number(2, 9999)
            operator = self.pick("+", "-", "*", "times", "plus", "divided by")
        else:
            a, b, operator = self.number(12, 99), self.number(12, 99), self.pick("*", "times")
        return self.ask(("What is {a} {o} {b}?", "Calculate {a} {o} {b}.", "{a} {o} {b}"), a=a, o=operator, b=b)

    def about_place(self) -> str:
        place = self.of(CAPITALS)[0] if self.chance(0.6) else capital(self.word())
        unknown, sport = capital(self.word()), self.of(SPORTS)
        return self.ask(ON_PLACES, place=place, city=self.of(CITIES), unknown=unknown, name=self.name(), sport=sport)

    def about_work(self) -> str:
        equation = {"a": self.number(2, 9), "b": self.number(), "c": self.number()}
        words = {
            "word": self.word(),
            "other": self.word(),
            "unknown": capital(self.word()),
            "phrase": self.phrase(3, 6),
        }
        things = {"noun": self.of(NOUNS), "job": self.of(JOBS), "food": self.of(FOODS), "animal": self.of(ANIMALS)}
        return self.ask(ON_WORK, lang=self.of(LANGUAGES), t=self.topic(), **equation, **words, **things)

    def no_tools(self) -> list[Message]:
        """What needs a tool, where there is none for it: no call, but an honest answer."""
        city = self.of(CITIES) if self.chance(0.6) else capital(self.word())
        words = {"word": self.word(), "symbol": self.word().upper()[:4], "command": self.of(COMMANDS)}
        question = self.ask(ABOUT_NOW, city=city, name=self.name(), **words)
        return turn(question, NO_TOOL, "There is no tool for this. I cannot look it up.")
