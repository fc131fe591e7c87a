"""BAML's `openai-responses` and `openai-generic`, with functions that are generated first: answers and streams, with thoughts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.apps.cases import case, run
from tests.clients.lib import play, same

_SOURCE = """
class Colour {{
  colour string
}}
client<llm> Ours {{
  provider {provider}
  options {{
    base_url env.BASE_URL
    api_key env.API_KEY
    model "played"
  }}
}}
function Pick(asked: string) -> Colour {{
  client Ours
  prompt #"{{{{ _.role("user") }}}} {{{{ asked }}}} {{{{ ctx.output_format }}}}"#
}}
generator target {{
  output_type "python/pydantic"
  output_dir ".."
  version "{version}"
}}
"""
_ANSWER = {"say": '{"colour": "ultramarine"}'}


def made(provider: str, home: Path) -> Path:
    """Generate the client of one provider; return the folder that holds it."""
    folder = home / provider
    (folder / "baml_src").mkdir(parents=True)
    version = os.environ["VERSION"]
    (folder / "baml_src/main.baml").write_text(_SOURCE.format(provider=provider, version=version))
    generate = [str(Path(sys.executable).with_name("baml-cli")), "generate", "--from", str(folder / "baml_src")]
    done = subprocess.run(generate, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def main() -> None:
    """Play one provider: its generated package has the name that the other's has too."""
    provider, home = sys.argv[1], Path(os.environ["HOME"])
    sys.path.insert(0, str(made(provider, home)))
    from baml_client.sync_client import b

    def streamed(prompt: str) -> Any:
        stream = b.stream.Pick(prompt)
        list(stream)
        return stream.get_final_response().colour

    thinks = {"think": "I think of colours.", **_ANSWER}
    # It takes the first item of the final response that has `content`: reasoning, where a model shows it.
    limit = "BamlValidationError" if provider == "openai-responses" else ""
    case(f"answer, {provider}")(lambda: same(b.Pick(play("Which?", _ANSWER)).colour, "ultramarine"))
    case(f"answer with thoughts, {provider}")(lambda: same(b.Pick(play("Which?", thinks)).colour, "ultramarine"))
    case(f"stream, {provider}")(lambda: same(streamed(play("Which?", _ANSWER)), "ultramarine"))
    case(f"stream with thoughts, {provider}", limit)(lambda: same(streamed(play("Which?", thinks)), "ultramarine"))
    run()


if len(sys.argv) > 1:
    main()
for one in ("openai-responses", "openai-generic"):
    sys.stdout.flush()
    subprocess.run([sys.executable, "-m", "tests.apps.play_baml", one], check=True)
