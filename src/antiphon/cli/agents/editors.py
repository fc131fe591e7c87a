"""Settings of agents, editors and applications with a page of settings, as snippets; see `snippets`."""

from __future__ import annotations

from collections.abc import Mapping

SNIPPETS: Mapping[str, str] = {
    "codex": """\
# ~/.codex/antiphon.config.toml, for `codex --profile antiphon`, with ANTIPHON_API_KEY in the environment (any text where the
# server has no keys). `antiphon connect codex --write` writes it, `antiphon launch codex` needs no file.
model = "{model}"
model_provider = "antiphon"
[model_providers.antiphon]
name = "Antiphon"
base_url = "{url}"
env_key = "ANTIPHON_API_KEY"
wire_api = "responses"
""",
    "opencode": """\
// opencode: opencode.json; or, without a change: antiphon launch opencode
{{
  "provider": {{
    "antiphon": {{
      "npm": "@ai-sdk/openai", "name": "Antiphon",
      "options": {{ "baseURL": "{url}", "apiKey": "{{env:ANTIPHON_API_KEY}}" }},
      "models": {{
        "{model}": {{
          "name": "{model}", "reasoning": {thinks}, "tool_call": true, "limit": {{ "context": {context}, "output": {output} }}
        }}
      }}
    }}
  }},
  "model": "antiphon/{model}"
}}
""",
    "pi": """\
// pi: ~/.pi/agent/models.json; or, without a change: antiphon launch pi
{{
  "providers": {{
    "antiphon": {{
      "baseUrl": "{url}", "api": "openai-responses", "apiKey": "ANTIPHON_API_KEY",
      "models": [{{ "id": "{model}", "reasoning": {thinks}, "contextWindow": {context}, "maxTokens": {output} }}]
    }}
  }}
}}
""",
    "llm": """\
# llm: extra-openai-models.yaml in the folder that `dirname "$(llm logs path)"` names; then: llm keys set antiphon
- model_id: "{model}"
  model_name: "{model}"
  api_base: "{url}"
  api_key_name: antiphon
  responses: true
  reasoning: {thinks}
  supports_tools: true
  supports_schema: true
""",
    "aider": """\
# aider, in the shell
export OPENAI_API_BASE="{url}" OPENAI_API_KEY="{key}"
aider --model "openai/{model}"
""",
    "goose": """\
# goose, in the shell
export GOOSE_PROVIDER=openai OPENAI_HOST="{base}" OPENAI_API_KEY="{key}" GOOSE_MODEL="{model}"
goose session
""",
    "crush": """\
// Crush: crush.json
{{
  "providers": {{
    "antiphon": {{
      "type": "openai-compat", "base_url": "{url}", "api_key": "$ANTIPHON_API_KEY",
      "models": [{{
        "id": "{model}", "name": "{model}", "context_window": {context}, "default_max_tokens": {output},
        "can_reason": {thinks}, "supports_attachments": {sees}
      }}]
    }}
  }}
}}
""",
    "cline": """\
Cline: Settings → API Provider → OpenAI Compatible.  Base URL: {url}   API Key: {key}   Model ID: {model}
Model Configuration: Context Window Size {context}, Max Output Tokens {output}, Supports Images {sees}.
""",
    "roo": """\
Roo Code: Settings → Providers → OpenAI Compatible.  Base URL: {url}   API Key: {key}   Model: {model}
Context Window Size {context}, Max Output Tokens {output}, Image Support {sees}.
""",
    "vscode": """\
// VS Code: "Chat: Manage Language Models" → Add Models → Custom Endpoint; in chatLanguageModels.json:
[
  {{
    "name": "Antiphon", "vendor": "customendpoint", "apiKey": "{key}", "apiType": "responses",
    "models": [
      {{
        "id": "{model}", "name": "{model}", "url": "{url}/responses", "toolCalling": true, "vision": {sees},
        "thinking": {thinks}, "maxInputTokens": {context}, "maxOutputTokens": {output}
      }}
    ]
  }}
]
""",
    "zed": """\
// Zed: settings.json; the key goes into the provider's settings page
"language_models": {{
  "openai_compatible": {{
    "Antiphon": {{ "api_url": "{url}", "available_models": [{{ "name": "{model}", "max_tokens": {context} }}] }}
  }}
}}
""",
    "continue": """\
# Continue: ~/.continue/config.yaml, with the key in ~/.continue/.env
models:
  - name: Antiphon
    provider: openai
    model: "{model}"
    apiBase: "{url}"
    apiKey: ${{{{ secrets.ANTIPHON_API_KEY }}}}
    useResponsesApi: true
""",
    "cursor": """\
Cursor: Settings → Models → API Keys.  OpenAI API Key: {key}   Override OpenAI Base URL: {url}
Then "Add Custom Model": {model}. Cursor's own servers send the requests, so the address must be reachable from the internet.
""",
    "jan": """\
Jan: Settings → Model Providers → Add Provider.  Name: Antiphon   Base URL: {url}   API Key: {key}
Then "Refresh" lists the models.
""",
    "raycast": """\
# Raycast AI: Settings → AI → Custom Providers → Reveal Providers Config: providers.yaml
providers:
  - id: antiphon
    name: Antiphon
    base_url: {url}
    api_keys:
      antiphon: "{key}"
    models:
      - id: "{model}"
        name: "{model}"
        context: {context}
        abilities:
          tools: {{ supported: true }}
          vision: {{ supported: {sees} }}
""",
    "open-webui": """\
Open WebUI: Admin Settings → Connections → OpenAI API → Add Connection.  URL: {url}   Auth: Bearer {key}
API Type: Responses (or Chat Completions). Or by its environment:
OPENAI_API_BASE_URL="{url}" OPENAI_API_KEY="{key}"
""",
    "librechat": """\
# LibreChat: librechat.yaml, with ANTIPHON_API_KEY in its .env
endpoints:
  custom:
    - name: "Antiphon"
      apiKey: "${{ANTIPHON_API_KEY}}"
      baseURL: "{url}"
      models: {{ default: ["{model}"], fetch: true }}
""",
    "n8n": """\
n8n: Credentials → New → OpenAI.  API Key: {key}   Base URL: {url}
Then an "OpenAI Chat Model" node with Model "{model}" by ID, and "Use Responses API" switched on.
""",
}
