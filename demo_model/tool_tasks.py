"""Function calls: weather, everyday tools, made-up tools; and what the tools answered, told to the user."""

import json
from dataclasses import dataclass
from typing import Any

from json_tasks import JsonTasks
from render import Message
from source import capital, turn
from words import CITIES, COLORS, COMMANDS, DAYS, FOODS, FRUITS, LANGUAGES, NOUNS, OBJECTS, SIGNS, VERBS

Tool = dict[str, Any]


@dataclass
class Job:
    """One request that needs a tool: the calls to make, what they return, and what to tell the user then."""

    tool: Tool
    request: str
    calls: list[dict[str, Any]]
    outputs: list[str]
    answer: str
    thought: str
    afterwards: str = "I have the result. I will tell the user."


ASK_WEATHER = (
    "What is the weather in {where}?",
    "What's the weather like in {where} today?",
    "Weather in {where}",
    "How is the weather in {where}?",
    "Is it raining in {where}?",
    "What is the temperature in {where}?",
    "Tell me the weather in {where}.",
    "what's the weather in {where}",
    "Do I need an umbrella in {where}?",
    "Call {name} for {where}.",
    "Use the {name} tool for {where}.",
)
SKIES = ("sunny", "cloudy", "rainy", "windy", "snowy", "foggy", "clear")
PARAMETERS = """id name date city amount count color title topic query email priority location status to user_id level
message text number day code item language size order_id symbol room value enabled""".split()
REQUESTS = (
    "{Verb} the {noun}",
    "Please {verb} the {noun}",
    "{verb} {noun}",
    "I want to {verb} a {noun}",
    "Can you {verb} the {noun}",
    "Call {name}",
    "Use {name}",
    "Use the {name} tool",
)
NOTHING, STRING = "", {"type": "string"}
# (names, descriptions, names of the parameter, requests): tools with one argument
EVERYDAY = {
    "city": (
        ("get_time", "get_current_time"),
        ("Get the time in a city", "Current time", NOTHING),
        ("city", "location", "timezone"),
        ("What time is it in {v}?", "Tell me the time in {v}.", "Time in {v}?"),
    ),
    "sign": (
        ("get_horoscope",),
        ("Get today's horoscope for an astrological sign.",),
        ("sign",),
        ("What is my horoscope? I am an {v}.", "Horoscope for {v}.", "What is my horoscope? My sign is {v}."),
    ),
    "command": (
        ("shell", "bash", "run_command", "exec_command"),
        ("Run a shell command", "Runs a command.", NOTHING),
        ("command", "cmd"),
        ("Run {v}", "Run the command {v}", "Please run `{v}`.", "Execute: {v}"),
    ),
    "query": (
        ("search", "web_search", "search_web", "search_docs"),
        ("Search the web", "Search for documents", NOTHING),
        ("query", "q"),
        ("Search for {v}.", "Find information about {v}.", "Search the web for {v}."),
    ),
    "symbol": (
        ("get_stock_price", "stock_price"),
        ("Get a stock price",),
        ("symbol",),
        ("What is the stock price of {v}?", "Price of {v}?", "How is {v} doing today?"),
    ),
    "path": (
        ("read_file", "open_file"),
        ("Read a file",),
        ("path", "filename", "file"),
        ("Read the file {v}.", "Open {v}.", "What is in {v}?", "Show me {v}."),
    ),
    "order": (
        ("get_order", "track_order", "get_order_status"),
        ("Look up an order",),
        ("order_id", "id"),
        ("Where is my order {v}?", "What is the status of order {v}?", "Track order {v}."),
    ),
}
SEND = ("Send an email to {to} saying {body}.", "Email {to}: {body}", 'Send {to} an email that says "{body}".')
FLY = ("Book a flight from {origin} to {destination}.", "I want to fly from {origin} to {destination}.")
CALCULATORS = (
    ("add", "+", "plus"),
    ("multiply", "*", "times"),
    ("calculator", "+", "plus"),
    ("calculate", "*", "times"),
)
ASK_SUM = ("What is {a} {word} {b}?", "What is {a} {o} {b}?", "Use the tool to compute {a} {o} {b}.")


def spec(name: str, description: str, properties: dict[str, Any]) -> Tool:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def name_of(tool: Tool) -> str:
    return str(tool["function"]["name"])


def type_of(value: object) -> str:
    return "boolean" if isinstance(value, bool) else "integer" if isinstance(value, int) else "string"


class ToolTasks(JsonTasks):
    def with_tools(self) -> tuple[list[Tool], list[Message]]:
        """The tools of a conversation, and its messages."""
        kind = self.random.random()
        before = self.simple() if self.chance(0.15) else []
        if kind >= 0.86:
            return self.tools_not_needed(before)
        job = self.weather() if kind < 0.33 else self.use_tool() if kind < 0.8 else self.calculation()
        messages = [*before, {"role": "user", "content": job.request}]
        messages.append({"role": "assistant", "content": "", "reasoning_content": job.thought, "tool_calls": job.calls})
        if self.chance(0.7):
            messages += [{"role": "tool", "content": output} for output in job.outputs]
            messages.append({"role": "assistant", "content": job.answer, "reasoning_content": job.afterwards})
            if self.chance(0.1):
                messages += turn("Thanks!", "You are welcome!")
        return self.among_others(job.tool), messages

    def tools_not_needed(self, before: list[Message]) -> tuple[list[Tool], list[Message]]:
        tool = self.weather_tool() if self.chance(0.5) else self.made_up_tool()[0]
        kinds = (self.greeting, self.small_talk, self.identity, self.facts, self.echo, self.arithmetic, self.fallback)
        return self.among_others(tool), [*before, *self.of(kinds)()]

    def among_others(self, tool: Tool) -> list[Tool]:
        """The tool between up to three others, at most one of them about the weather."""
        tools = {name_of(tool): tool}
        for _ in range(self.pick(0, 0, 0, 1, 1, 2, 3)):
            other = self.made_up_tool()[0] if self.chance(0.75) else self.weather_tool()
            name = name_of(other)
            if "weather" not in name or not any("weather" in known for known in tools):
                tools.setdefault(name, other)
        shuffled = list(tools.values())
        self.random.shuffle(shuffled)
        return shuffled

    # weather

    def weather_tool(self) -> Tool:
        properties: dict[str, Any] = {self.pick("location", "city"): STRING}
        if self.chance(0.6):
            properties["unit"] = {"type": "string", "enum": ["celsius", "fahrenheit"]}
        name = self.pick("get_weather", "get_weather", "get_current_weather", "weather")
        descriptions = (
            "Get the weather",
            "Get the current weather for a city",
            "Get current temperature for a given location.",
        )
        return spec(name, self.pick(*descriptions, NOTHING), properties)

    def weather(self) -> Job:
        tool = self.weather_tool()
        name, key = name_of(tool), next(iter(tool["function"]["parameters"]["properties"]))
        cities = self.some(CITIES, self.pick(1, 1, 1, 1, 2, 2, 3)) if self.chance(0.7) else [capital(self.word())]
        where = cities[0] if len(cities) == 1 else ", ".join(cities[:-1]) + " and " + cities[-1]
        request, unit = self.ask_weather(name, where, "unit" in tool["function"]["parameters"]["properties"])
        calls = [call(name, {key: city} | ({"unit": unit} if unit else {})) for city in cities]
        reports = [self.report(city, unit or "celsius") for city in cities]
        thought = f"The user asks about the weather in {where}. I will call {name}."
        return Job(tool, request, calls, [r[0] for r in reports], " ".join(r[1] for r in reports), thought)

    def ask_weather(self, name: str, where: str, has_unit: bool) -> tuple[str, str | None]:
        request = self.say(ASK_WEATHER, where=where, name=name)
        if not has_unit:
            return request, None
        unit = self.pick("celsius", "fahrenheit")
        if self.chance(0.5):
            return request.rstrip("?.") + self.pick(f" in {unit}", f" ({unit})") + self.pick("?", ""), unit
        return request, "celsius" if self.chance(0.9) else None

    def report(self, city: str, unit: str) -> tuple[str, str]:
        """What the tool returns for one city, and how that is told."""
        degrees, sky, style = self.number(-10, 40), self.of(SKIES), self.number(0, 5)
        if style == 0:
            output = json.dumps({"temperature": degrees, "condition": sky})
            return output, f"It is {degrees} degrees and {sky} in {city}."
        if style == 1:
            output = json.dumps({"temperature": degrees, "unit": unit, "condition": sky})
            return output, f"It is {degrees} degrees {unit} and {sky} in {city}."
        if style == 2:
            output = self.pick(f"{degrees} degrees and {sky}", f"{sky}, {degrees} degrees", f"{degrees} C, {sky}")
            return output, f"The weather in {city}: {output}."
        if style == 3:
            sentence = self.pick(
                f"The weather in {city} is {sky}.", f"It is {sky} in {city}.", f"{capital(sky)} in {city}."
            )
            return sentence, sentence
        if style == 4:
            return sky, f"The weather in {city}: {sky}."
        output = self.pick(str(degrees), json.dumps({"temperature": degrees}))
        return output, f"It is {degrees} degrees in {city}."

    # everyday and made-up tools

    def use_tool(self) -> Job:
        tool, request, arguments = self.made_up_tool() if self.chance(0.65) else self.everyday_tool()
        name = name_of(tool)
        output, answer = self.result()
        return Job(
            tool,
            request,
            [call(name, arguments)],
            [output],
            answer,
            f"The user wants me to use {name}. I will call it.",
        )

    def result(self) -> tuple[str, str]:
        style = self.number(0, 3)
        if style == 0:
            key = self.pick("result", "status", "value", "answer", "total", "count", "message", "title")
            done = self.pick("ok", "done", "created", "found", "deleted")
            value = self.of([self.number(0, 9999), self.phrase(1, 3), done])
            return json.dumps({key: value}, ensure_ascii=False), f"The {key} is {value}."
        if style == 1:
            one, other = self.some(["id", "name", "status", "city", "price", "owner", "date", "color", "total"], 2)
            values = {key: self.result_value(key) for key in (one, other)}
            return json.dumps(values), f"The {one} is {values[one]} and the {other} is {values[other]}."
        if style == 2:
            text = self.phrase(2, 6)
            return text, f"The tool says: {text}"
        error = self.pick("not found", "access denied", "timeout", f"invalid {self.of(PARAMETERS)}")
        return json.dumps({"error": error}), f"The tool returned an error: {error}."

    def result_value(self, key: str) -> Any:
        return self.value({"price": "id", "total": "id", "owner": "name"}.get(key, key))

    def value(self, parameter: str) -> Any:
        """A value as a user would give it for a parameter of this name."""
        match parameter:
            case "id" | "user_id" | "order_id" | "number" | "code":
                return int(self.code(self.number(2, 5)).lstrip("0") or 7)
            case "amount" | "count" | "level" | "value" | "size":
                return self.number(1, 500)
            case "name" | "to":
                return self.name()
            case "email":
                return f"{self.name().lower()}@{self.word()}.com"
            case "symbol":
                return self.word().upper()[:4]
            case "enabled":
                return self.chance(0.5)
        pools = {
            ("city", "location"): CITIES,
            ("color",): COLORS,
            ("date", "day"): DAYS,
            ("priority",): ["low", "medium", "high"],
            ("status",): ["open", "closed", "done", "pending"],
            ("language",): LANGUAGES,
            ("item",): OBJECTS + FOODS + FRUITS,
        }
        pool = next((pool for names, pool in pools.items() if parameter in names), None)
        return self.of(pool) if pool else self.phrase(1, 3).rstrip(".!?")

    def tool_name(self) -> tuple[str, str, str]:
        """A function name with its verb and noun, from this side of the split."""
        while True:
            verb, noun = self.of(VERBS), self.of(NOUNS) if self.chance(0.75) else self.word()
            name = f"{verb}_{noun}" if self.chance(0.85) else verb + capital(noun)
            if self.ours(name):
                return name, verb, noun

    def made_up_tool(self) -> tuple[Tool, str, dict[str, Any]]:
        """A tool, a request for it, and the arguments that belong in the call."""
        name, verb, noun = self.tool_name()
        arguments = {p: self.value(p) for p in self.some(PARAMETERS, self.pick(0, 1, 1, 1, 2, 2, 3))}
        properties = {p: self.property(p, value, noun) for p, value in arguments.items()}
        descriptions = (
            f"{capital(verb)} a {noun}",
            f"{capital(verb)} the {noun}.",
            f"Use this to {verb} a {noun}",
            NOTHING,
        )
        request = self.say(REQUESTS, Verb=capital(verb), verb=verb, noun=noun, name=name)
        if arguments:
            said = [self.spoken(p, value) for p, value in arguments.items()]
            request += self.pick(" with ", " for ", ", ") + self.pick(" and ", ", ").join(said)
        return spec(name, self.of(descriptions), properties), request + self.pick(".", NOTHING, "."), arguments

    def property(self, parameter: str, value: Any, noun: str) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": type_of(value)}
        if parameter == "priority":
            schema["enum"] = ["low", "medium", "high"]
        if self.chance(0.3):
            schema["description"] = f"The {parameter} of the {noun}."
        return schema

    def spoken(self, parameter: str, value: Any) -> str:
        label = parameter.replace("_", " ")
        text = json.dumps(value) if isinstance(value, bool) else value
        return self.pick(f"{label} {text}", f"{label} {text}", f"{label} = {text}", f"{label}: {text}")

    def everyday_tool(self) -> tuple[Tool, str, dict[str, Any]]:
        kind = self.of([*EVERYDAY, "email", "flight"])
        if kind == "email":
            arguments = {"to": self.name(), "body": self.phrase(1, 3).rstrip(".!?")}
            return (
                spec("send_email", "Send an email", dict.fromkeys(arguments, STRING)),
                self.say(SEND, **arguments),
                arguments,
            )
        if kind == "flight":
            origin, destination = self.some(CITIES, 2)
            arguments = {"origin": origin, "destination": destination}
            tool = spec(self.pick("book_flight", "search_flights"), "Find a flight", dict.fromkeys(arguments, STRING))
            return tool, self.say(FLY, **arguments), arguments
        names, descriptions, keys, requests = EVERYDAY[kind]
        key, value = self.of(keys), self.everyday_value(kind)
        return spec(self.of(names), self.of(descriptions), {key: STRING}), self.say(requests, v=value), {key: value}

    def everyday_value(self, kind: str) -> str:
        match kind:
            case "city":
                return self.of(CITIES) if self.chance(0.7) else capital(self.word())
            case "sign":
                return self.of(SIGNS)
            case "command" if self.chance(0.6):
                return self.of(COMMANDS)
            case "command":
                return f"{self.pick('cat', 'ls', 'rm', 'grep')} {self.word()}.txt"
            case "query":
                return self.phrase(1, 3).rstrip(".!?")
            case "symbol":
                return self.word().upper()[:4]
            case "path":
                return f"{self.word()}.{self.pick('txt', 'py', 'md', 'json')}"
        return self.code(self.number(3, 5))

    def calculation(self) -> Job:
        name, operator, word = self.of(CALCULATORS)
        a, b = self.number(0, 999), self.number(0, 999)
        result = a + b if operator == "+" else a * b
        if name.startswith("calc"):
            tool = spec(name, "Evaluate an expression", {"expression": STRING})
            arguments: dict[str, Any] = {"expression": f"{a} {operator} {b}"}
        else:
            integer = {"type": "integer"}
            tool = spec(name, f"{capital(name)} two numbers", {"a": integer, "b": integer})
            arguments = {"a": a, "b": b}
        request, thought = self.say(ASK_SUM, a=a, b=b, o=operator, word=word), f"I will call {name} with {a} and {b}."
        answer = f"{a} {operator} {b} = {result}"
        return Job(tool, request, [call(name, arguments)], [str(result)], answer, thought, f"The result is {result}.")
