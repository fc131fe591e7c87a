"""Prompt templates of the configuration, applied to requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from antiphon.config import PromptConfig, PromptVersion
from antiphon.core.json_encoding import to_json
from antiphon.core.request.decoding import decode_items
from antiphon.core.request.prompts import PromptRef, Template, decode_prompt, render
from antiphon.errors import ConfigError, InvalidRequest, NotFound
from antiphon.types.items import Item
from antiphon.types.raw import OptionalRaw
from antiphon.types.request import CreateResponse, ReasoningConfig


class _ModelAndPrompt(msgspec.Struct):
    """The two keys of a request that tell whether the prompt has to name the model."""

    model: OptionalRaw = None
    prompt: OptionalRaw = None


_peek = msgspec.json.Decoder(_ModelAndPrompt)
_fields = msgspec.json.Decoder(dict[str, Raw])


class Prompts:
    """Templates by id and version. Raises ConfigError for one whose items are none."""

    def __init__(self, configs: Mapping[str, PromptConfig]) -> None:
        self.replace(configs)

    def replace(self, configs: Mapping[str, PromptConfig]) -> None:
        """Replace the templates. Raises ConfigError, and then nothing has changed."""
        for id, config in configs.items():
            for name, version in ((config.version, config), *config.versions.items()):
                _check(version, f"prompts.{id} (version {name})")
        self._configs = configs

    def apply(self, request: CreateResponse) -> tuple[CreateResponse, Sequence[Item]]:
        """Return the request with what its prompt says where it is silent itself, and the prompt's items.

        The items stand before all history, and like instructions they are not carried over to the next response.
        Raises NotFound for an unknown id or version, InvalidRequest for variables that do not fit.
        """
        if request.prompt is None:
            return request, ()
        prompt = decode_prompt(request.prompt)
        version = self._version(prompt)
        template = Template(instructions=version.instructions, items=version.input)
        rendered = render(template, prompt.variables or {})
        return _completed(request, version, rendered.instructions), rendered.items

    def with_model(self, body: bytes) -> bytes:
        """Return a request's body with the model of its prompt where it names none itself."""
        if not self._configs or b'"prompt"' not in body:
            return body
        try:
            given = _peek.decode(body)
            if given.prompt is None or not (given.model is None or bytes(given.model) == b"null"):
                return body
            model = self._version(decode_prompt(given.prompt)).model
        except (ValueError, RecursionError, InvalidRequest):
            return body  # whoever decodes the whole of it knows what to say
        return body if model is None else to_json({**_fields.decode(body), "model": model})

    def _version(self, prompt: PromptRef) -> PromptVersion:
        config = self._configs.get(prompt.id)
        if config is None:
            raise NotFound(f"Prompt with id '{prompt.id}' not found.", param="prompt.id", code="prompt_not_found")
        name = config.version if prompt.version is None else str(prompt.version)
        version = config if name == config.version else config.versions.get(name)
        if version is None:
            raise NotFound(
                f"The prompt '{prompt.id}' has no version '{name}'.",
                param="prompt.version",
                code="prompt_version_not_found",
            )
        return version


def _completed(request: CreateResponse, version: PromptVersion, instructions: str | None) -> CreateResponse:
    reasoning = request.reasoning or ReasoningConfig()
    if reasoning.effort is None and version.reasoning_effort is not None:
        reasoning = replace(reasoning, effort=version.reasoning_effort)
    return replace(
        request,
        instructions=request.instructions if request.instructions is not None else instructions,
        temperature=request.temperature if request.temperature is not None else version.temperature,
        top_p=request.top_p if request.top_p is not None else version.top_p,
        max_output_tokens=request.max_output_tokens or version.max_output_tokens,
        reasoning=reasoning if reasoning.effort is not None else request.reasoning,
    )


def _check(version: PromptVersion, where: str) -> None:
    try:
        decode_items([Raw(to_json(item)) for item in version.input], "input")
    except InvalidRequest as error:
        raise ConfigError(f"{where}: {error.param}: {error.message}") from None
