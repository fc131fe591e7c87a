"""image_generation: pictures that the model asks a server of images for (OpenAI's "Image generation").

The model is offered a function `image_generation` with a prompt. Where the conversation holds pictures, it may have the last of
them changed (`edit`). The item has the picture in base64; the model is told that it was shown.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from json import loads

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import BY_NAME
from antiphon.core.media.file_types import kind_by_content, parse_data_url
from antiphon.core.request.validation import decode
from antiphon.core.tools.offers import Offer, Target
from antiphon.errors import APIError, InvalidRequest, NotFound
from antiphon.stores.base import FileStore
from antiphon.tools.base import Declaration, HostedRun, HostedUse, Progress, ToolBounds, ToolResult, ToolServerError
from antiphon.tools.images.declaration import ImageTool, MaskReference, declaration
from antiphon.tools.images.server import EXTENSIONS, Drawn, ImageServer, Upload
from antiphon.types.items import InputImage, Message, OtherItem

KIND = BY_NAME["image_generation"]
MOST_CHANGED = 4
"""Pictures of a conversation that one call changes: the last ones."""

MOST_PROMPT = 8000
"""Characters of a prompt that are sent."""

_DESCRIPTION = "Makes a picture from a description, and shows it to the user."
_PROMPT = {"type": "string", "description": "What the picture shows, in full sentences."}
_EDIT = {
    "type": "boolean",
    "description": "True: change the last pictures of the conversation instead of making a new one.",
}
_INSTRUCTIONS = (
    "The user sees pictures that `image_generation` makes by themselves: neither link to them nor repeat them."
)


class _ItemResult(msgspec.Struct):
    result: str | None = None


_result = msgspec.json.Decoder(_ItemResult)


class ImageGeneration:
    """The tool. `name`: that of the server of images, for metrics."""

    kind = KIND

    def __init__(self, server: ImageServer, name: str, files: FileStore, clock: Callable[[], float]) -> None:
        self.bounds = ToolBounds(seconds=server.seconds + 5, bytes=16 << 20, total=64 << 20)
        self._server = server
        self._name = name
        self._files = files
        self._clock = clock

    async def admit(self, declared: Sequence[Declaration], owner: str) -> HostedUse:
        """Check the declarations. Raises InvalidRequest, NotFound."""
        tools = [decode(declaration, one.raw, one.param) for one in declared]
        if any(other != tools[0] for other in tools):
            raise InvalidRequest("Only one image_generation tool can be used.", param=declared[-1].param)
        param = f"{declared[0].param}.input_image_mask"
        mask = await self._mask(tools[0].input_image_mask, owner, param)
        return ImageUse(self._server, self._name, tools[0], mask)

    async def _mask(self, mask: MaskReference | None, owner: str, param: str) -> Upload | None:
        if mask is None:
            return None
        if mask.file_id is not None:
            content = await self._files.content(mask.file_id, owner, self._clock())
            if content is None:
                raise NotFound(f"File '{mask.file_id}' not found.", param=f"{param}.file_id", code="file_not_found")
            return _picture("mask", content, f"{param}.file_id")
        if mask.image_url is None or not mask.image_url.startswith("data:"):
            raise InvalidRequest("A mask is an uploaded file or a data URL.", param=param)
        _, data = parse_data_url(mask.image_url, f"{param}.image_url")
        return _picture("mask", _bytes(data), f"{param}.image_url")

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()


class ImageUse(HostedUse):
    """The tool within one response."""

    def __init__(self, server: ImageServer, name: str, tool: ImageTool, mask: Upload | None) -> None:
        self._server = server
        self._name = name
        self._tool = tool
        self._mask = mask
        self._given: list[str] = []  # pictures of the conversation: data URLs, or base64

    def offers(self) -> Sequence[Offer]:
        """Offer the function."""
        fields: dict[str, object] = {"prompt": _PROMPT}
        if self._tool.action in (None, "auto"):
            fields["edit"] = _EDIT
        parameters = Raw(to_json({"type": "object", "properties": fields, "required": ["prompt"]}))
        return [Offer(target=Target(KIND.name, KIND.name), description=_DESCRIPTION, parameters=parameters)]

    def instructions(self) -> str:
        """Tell that pictures are shown."""
        return _INSTRUCTIONS

    async def prepare(self, run: HostedRun) -> None:
        """Note the pictures of the conversation."""
        for item in run.items:
            if isinstance(item, Message) and not isinstance(item.content, str):
                urls = [part.image_url for part in item.content if isinstance(part, InputImage)]
                self._given += [url for url in urls if isinstance(url, str) and url.startswith("data:")]
            elif isinstance(item, OtherItem) and item.type == KIND.call and (made := _result_of(item)):
                self._given.append(made)
            self._given = self._given[-MOST_CHANGED:]

    def provider(self) -> str:
        """Return the server of images."""
        return self._name

    def demand(self, name: str, arguments: str) -> Mapping[str, float]:
        """Return one picture."""
        return {"images": 1}

    async def call(self, name: str, arguments: str, progress: Progress) -> ToolResult:
        """Make a picture. Raises ToolServerError."""
        try:
            given = loads(arguments, strict=False)
        except (ValueError, RecursionError):
            given = None
        prompt = given.get("prompt") if isinstance(given, dict) else None
        if not isinstance(prompt, str) or not prompt.strip():
            raise ToolServerError("There is no prompt in the arguments.")
        edit = self._tool.action == "edit" or (self._tool.action != "generate" and given.get("edit") is True)
        if edit and not self._given:
            raise ToolServerError("There is no picture in the conversation that could be changed.")
        options = dict(self._tool.options(edit=edit))
        if self._tool.partial_images:
            options |= {"stream": True, "partial_images": self._tool.partial_images}
        drawn = await self._server.draw(
            prompt[:MOST_PROMPT],
            self._tool.model,
            options,
            self._uploads() if edit else (),
            lambda number, data: progress("partial_image", {"partial_image_index": number, "partial_image_b64": data}),
        )
        self._given = [*self._given, drawn.data][-MOST_CHANGED:]
        return _shown(prompt, drawn, edit=edit)

    async def close(self) -> None:
        """Forget the pictures."""
        self._given = []

    def _uploads(self) -> Sequence[Upload]:
        field = "image" if len(self._given) == 1 else "image[]"
        uploads = []
        for one in self._given:
            data = parse_data_url(one, "input")[1] if one.startswith("data:") else one
            try:
                uploads.append(_picture(field, _bytes(data), "input"))
            except APIError as error:
                raise ToolServerError(error.message) from None
        return [*uploads, self._mask] if self._mask is not None else uploads


def _shown(prompt: str, drawn: Drawn, *, edit: bool) -> ToolResult:
    fields: dict[str, object] = {
        "result": drawn.data,
        "action": "edit" if edit else "generate",
        "revised_prompt": prompt,
    }
    said = f"The picture was {'changed' if edit else 'made'} and is shown to the user."
    revised = drawn.fields.get("revised_prompt")
    if revised and revised != prompt:
        said += f" The server took the prompt as: {revised[:MOST_PROMPT]}"
    return ToolResult(fields={**fields, **drawn.fields}, model_text=said, pictures=drawn.usage)


def _result_of(item: OtherItem) -> str:
    try:
        return _result.decode(item.raw).result or ""
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""


def _bytes(data: str) -> bytes:
    try:
        return b64decode(data)
    except (binascii.Error, ValueError):
        return b""


def _picture(field: str, content: bytes, param: str) -> Upload:
    kind = kind_by_content(content)
    if kind not in EXTENSIONS:
        raise InvalidRequest("The image is neither PNG, JPEG, WebP nor GIF.", param=param)
    return Upload(field, kind, content)
