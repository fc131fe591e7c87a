"""Snippets: what to paste into a client's settings.

{url}, {base} (the same without /v1), {key} and {model} stand for the server's, {context} and {output} for the model's window
and longest answer. The key is named, never printed, unless it is a stand-in.
"""

from __future__ import annotations

from collections.abc import Mapping

from antiphon.cli.agents import claude
from antiphon.cli.agents.target import AgentTarget

SNIPPETS: Mapping[str, str] = {
    "python": """\
from openai import OpenAI

client = OpenAI(base_url="{url}", api_key="{key}")
print(client.responses.create(model="{model}", input="Hello.").output_text)
""",
    "javascript": """\
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "{url}", apiKey: "{key}" });
console.log((await client.responses.create({ model: "{model}", input: "Hello." })).output_text);
""",
    "agents-sdk": """\
from agents import Agent, OpenAIResponsesModel, Runner, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(True)
client = AsyncOpenAI(base_url="{url}", api_key="{key}")
agent = Agent(name="assistant", model=OpenAIResponsesModel(model="{model}", openai_client=client))
print(Runner.run_sync(agent, "Hello.").final_output)
""",
    "ai-sdk": """\
import { createOpenAI } from "@ai-sdk/openai";
import { generateText } from "ai";

const antiphon = createOpenAI({ baseURL: "{url}", apiKey: "{key}" });
console.log((await generateText({ model: antiphon.responses("{model}"), prompt: "Hello." })).text);
""",
    "langchain": """\
from langchain_openai import ChatOpenAI

model = ChatOpenAI(model="{model}", base_url="{url}", api_key="{key}", use_responses_api=True)
print(model.invoke("Hello.").text)
""",
    "pydantic-ai": """\
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url="{url}", api_key="{key}")
print(Agent(OpenAIResponsesModel("{model}", provider=provider)).run_sync("Hello.").output)
""",
    "codex": """\
# ~/.codex/config.toml, with ANTIPHON_KEY in the environment; or, without a change: antiphon launch codex
model = "{model}"
model_provider = "antiphon"
[model_providers.antiphon]
name = "Antiphon"
base_url = "{url}"
env_key = "ANTIPHON_KEY"
wire_api = "responses"
""",
    "vscode": """\
// VS Code, chat: settings.json
"github.copilot.chat.customOAIModels": {
  "{model}": {
    "name": "{model}", "url": "{url}/responses", "toolCalling": true, "vision": false,
    "maxInputTokens": {context}, "maxOutputTokens": {output}
  }
}
""",
    "zed": """\
// Zed: settings.json; the key goes into the provider's settings page
"language_models": {
  "openai_compatible": {
    "Antiphon": { "api_url": "{url}", "available_models": [{ "name": "{model}", "max_tokens": {context} }] }
  }
}
""",
    "continue": """\
# Continue: ~/.continue/config.yaml
models:
  - name: Antiphon
    provider: openai
    model: "{model}"
    apiBase: "{url}"
    apiKey: "{key}"
    useResponsesApi: true
""",
    "n8n": """\
n8n: Credentials → New → OpenAI.  API Key: {key}   Base URL: {url}
Then an "OpenAI Chat Model" node with Model "{model}" by ID, and "Use Responses API" switched on.
""",
    "curl": """\
curl {url}/responses -H 'authorization: Bearer {key}' -H 'content-type: application/json' \\
  -d '{{"model": "{model}", "input": "Hello."}}'
""",
    "anthropic": """\
from anthropic import Anthropic

client = Anthropic(base_url="{base}", auth_token="{key}")
said = [{"role": "user", "content": "Hello."}]
print(client.messages.create(model="{model}", max_tokens=1000, messages=said).content[0].text)
""",
    "anthropic-js": """\
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: "{base}", authToken: "{key}" });
const messages = [{ role: "user", content: "Hello." }];
console.log((await client.messages.create({ model: "{model}", max_tokens: 1000, messages })).content[0].text);
""",
    "claude": claude.SNIPPET,
    "claude-agent-sdk": claude.SDK_SNIPPET,
}


def snippet(client: str, target: AgentTarget) -> str:
    """Return what to paste into a client's settings. Raises KeyError."""
    template = SNIPPETS[client].replace("{{", "\0").replace("}}", "\1")
    return target.fill(template).replace("\0", "{").replace("\1", "}")
