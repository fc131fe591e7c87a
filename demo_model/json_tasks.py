"""Answers in JSON, with the wanted keys in a schema, in the instructions or in the question."""

import json
from typing import Any

from facts import LISTS
from memory import Memory
from render import Message
from source import system, turn
from words import CAPITALS, CITIES, COLORS, DAYS, FOODS, OBJECTS

EVENTS = "science fair,birthday party,team meeting,concert,picnic,book club,wedding,workshop".split(",")
PERSON = (
    "{name} is {age} years old and lives in {city}.",
    "{name}, {age}, from {city}.",
    "My name is {name}, I am {age} and I live in {city}.",
)
PRODUCT = ("A {color} {product} for {price} dollars.", "The {color} {product} costs {price} dollars.")
SAY_JSON = ("Answer in JSON.", "Reply with a JSON object.", "Extract the event information.", "You output JSON only.")
WITH_KEYS = (
    "{task} Answer in JSON with the keys {keys}.",
    "{task} Reply as a JSON object with {keys}.",
    "{task} Return JSON: {keys}",
)
Task = tuple[str, dict[str, Any]]


def schema_of(value: object) -> dict[str, Any]:
    if isinstance(value, dict):
        properties = {key: schema_of(item) for key, item in value.items()}
        return {"type": "object", "properties": properties, "required": list(value)}
    if isinstance(value, list):
        return {"type": "array", "items": schema_of(value[0])}
    return {"type": "integer" if isinstance(value, int) else "string"}


class JsonTasks(Memory):
    def as_json(self) -> list[Message]:
        kinds = (
            self.person,
            self.event,
            self.country,
            self.listing,
            self.review,
            self.sum,
            self.product,
            self.question,
        )
        task, wanted = self.of(kinds)()
        keys = list(wanted)
        if self.chance(0.2):
            self.random.shuffle(keys)
            wanted = {key: wanted[key] for key in keys}
        names, mode = ", ".join(keys), self.random.random()
        instructions: list[Message] = []
        if "participants" in wanted and self.chance(0.08):
            instructions = [system("Extract the event information.")]
        elif mode < 0.45:
            instructions = [system(f"Answer in JSON that matches this schema: {json.dumps(schema_of(wanted))}")]
        elif mode < 0.52:
            instructions = [system(self.of(SAY_JSON))]  # the grammar knows the keys, the model does not
        elif mode < 0.64:
            instructions = [system(f"{self.of(SAY_JSON)} Keys: {names}")]
        else:
            task = self.say(WITH_KEYS, task=task, keys=names)
        answer = json.dumps(wanted, ensure_ascii=False)
        return [*instructions, *turn(task, answer, f"The user wants JSON. The keys are {names}.")]

    def person(self) -> Task:
        wanted = {"name": self.name(), "age": self.number(5, 95), "city": self.of(CITIES)}
        text = self.say(PERSON, **wanted)
        for key in ("age", "city"):
            if self.chance(0.25):
                del wanted[key]
        return self.pick("Extract the person: ", "Extract the data: ", "") + text, wanted

    def event(self) -> Task:
        event, day, people = self.of(EVENTS), self.of(DAYS), [self.name() for _ in range(self.number(1, 3))]
        who = " and ".join([", ".join(people[:-1]), people[-1]]) if len(people) > 1 else people[0]
        text = f"{who} {'are' if len(people) > 1 else 'is'} going to a {event} on {day}."
        task = self.pick("Extract the event information: ", "Extract the event: ", "") + text
        return task, {"name": event, "date": day, "participants": people}

    def country(self) -> Task:
        country, city = self.of(CAPITALS)
        return f"Give me the capital of {country}.", {"country": country, "capital": city}

    def listing(self) -> Task:
        what, count = self.of(list(LISTS)), self.number(2, 4)
        return f"List {count} {what}.", {self.pick("items", what.split()[-1]): LISTS[what][:count]}

    def review(self) -> Task:
        question, answer = self.sentiment()
        return question["content"], {"sentiment": answer["content"]}

    def sum(self) -> Task:
        a, b = self.number(1, 50), self.number(1, 50)
        task = self.pick("Solve: ", "") + f"What is {a} + {b}?"
        if self.chance(0.4):
            return task, {"answer": a + b}
        step = {"explanation": f"Add {a} and {b}.", "output": f"{a} + {b} = {a + b}"}
        return task, {"steps": [step], "final_answer": str(a + b)}

    def product(self) -> Task:
        wanted = {"product": self.of(OBJECTS + FOODS), "color": self.of(COLORS), "price": self.number(1, 500)}
        return self.pick("Extract the product: ", "") + self.say(PRODUCT, **wanted), wanted

    def question(self) -> Task:
        question, answer = self.facts()
        return question["content"], {"answer": answer["content"]}
