"""Snippets: what to paste into a client's settings.

{url}, {base} (the same without /v1), {key} and {model} stand for the server's, {context} and {output} for the model's window
and longest answer, {thinks} and {sees} for what it can do. The key is read from the environment, never printed, unless
`--key` gives another text: {python_key}, {javascript_key} and {shell_key} are expressions of their languages.
"""

from __future__ import annotations

from collections.abc import Mapping

from antiphon.cli.agents import claude, editors
from antiphon.cli.agents.target import AgentTarget

SNIPPETS: Mapping[str, str] = {
    "python": """\
{import_os}
from openai import OpenAI

client = OpenAI(base_url="{url}", api_key={python_key})
print(client.responses.create(model="{model}", input="Hello.").output_text)
""",
    "javascript": """\
import OpenAI from "openai";

const client = new OpenAI({{ baseURL: "{url}", apiKey: {javascript_key} }});
console.log((await client.responses.create({{ model: "{model}", input: "Hello." }})).output_text);
""",
    "agents-sdk": """\
{import_os}
from agents import Agent, OpenAIResponsesModel, Runner, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(True)
client = AsyncOpenAI(base_url="{url}", api_key={python_key})
agent = Agent(name="assistant", model=OpenAIResponsesModel(model="{model}", openai_client=client))
print(Runner.run_sync(agent, "Hello.").final_output)
""",
    "agents-sdk-js": """\
import {{ Agent, OpenAIResponsesModel, run, setTracingDisabled }} from "@openai/agents";
import OpenAI from "openai";

setTracingDisabled(true);
const client = new OpenAI({{ baseURL: "{url}", apiKey: {javascript_key} }});
const agent = new Agent({{ name: "assistant", model: new OpenAIResponsesModel(client, "{model}") }});
console.log((await run(agent, "Hello.")).finalOutput);
""",
    "ai-sdk": """\
import {{ createOpenAI }} from "@ai-sdk/openai";
import {{ generateText }} from "ai";

const antiphon = createOpenAI({{ baseURL: "{url}", apiKey: {javascript_key} }});
console.log((await generateText({{ model: antiphon.responses("{model}"), prompt: "Hello." }})).text);
""",
    "langchain": """\
{import_os}
from langchain_openai import ChatOpenAI

model = ChatOpenAI(model="{model}", base_url="{url}", api_key={python_key}, use_responses_api=True)
print(model.invoke("Hello.").text)
""",
    "pydantic-ai": """\
{import_os}
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url="{url}", api_key={python_key})
print(Agent(OpenAIResponsesModel("{model}", provider=provider)).run_sync("Hello.").output)
""",
    "anthropic": """\
{import_os}
from anthropic import Anthropic

client = Anthropic(base_url="{base}", auth_token={python_key})
said = [{{"role": "user", "content": "Hello."}}]
print(client.messages.create(model="{model}", max_tokens=1000, messages=said).content[0].text)
""",
    "anthropic-js": """\
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({{ baseURL: "{base}", authToken: {javascript_key} }});
const messages = [{{ role: "user", content: "Hello." }}];
console.log((await client.messages.create({{ model: "{model}", max_tokens: 1000, messages }})).content[0].text);
""",
    "curl": """\
curl {url}/responses -H {shell_key} -H 'content-type: application/json' \\
  -d '{{"model": "{model}", "input": "Hello."}}'
""",
    "claude": claude.SNIPPET,
    "claude-agent-sdk": claude.SDK_SNIPPET,
    **editors.SNIPPETS,
}


def snippet(client: str, target: AgentTarget) -> str:
    """Return what to paste into a client's settings. Raises KeyError."""
    template = SNIPPETS[client].replace("{{", "\0").replace("}}", "\1")
    return target.fill(template).lstrip("\n").replace("\0", "{").replace("\1", "}")
