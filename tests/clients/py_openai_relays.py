"""openai-python and LangChain on the routes beside responses: embeddings, moderations, completions, images, audio; RELAYS_URL has them."""

from __future__ import annotations

import asyncio
import base64
import os
import warnings

from langchain_openai import OpenAI as LangChainCompletions
from langchain_openai import OpenAIEmbeddings
from openai import AsyncOpenAI, BadRequestError, OpenAI

from tests.clients.lib import API_KEY, same, scenario

URL = os.environ["RELAYS_URL"]
SOUND = b"RIFF" + bytes(range(256)) * 10
client = OpenAI(base_url=URL, api_key=API_KEY, max_retries=0)


def embeddings() -> None:
    packed = client.embeddings.create(model="text-embedding-3-small", input=["one", "two"])  # base64 on the wire
    plain = client.embeddings.create(model="text-embedding-3-small", input=["one", "two"], encoding_format="float")
    for one, other in zip(packed.data, plain.data, strict=True):
        same([round(number, 5) for number in one.embedding], [round(number, 5) for number in other.embedding])
    # LangChain counts tokens with a vocabulary that it downloads, unless it is told not to.
    chain = OpenAIEmbeddings(
        model="text-embedding-3-small", base_url=URL, api_key=API_KEY, check_embedding_ctx_length=False
    )  # type: ignore[arg-type]
    same(chain.embed_documents(["one", "two"]), [one.embedding for one in packed.data])
    same(chain.embed_query("two"), packed.data[1].embedding)
    same(asyncio.run(chain.aembed_documents(["one"])), [packed.data[0].embedding])
    short = OpenAIEmbeddings(
        model="text-embedding-3-small",
        dimensions=3,
        base_url=URL,
        api_key=API_KEY,
        check_embedding_ctx_length=False,  # type: ignore[arg-type]
    )
    same(len(short.embed_query("one")), 3)


def texts() -> None:
    same(client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Hi").choices[0].text, "Echo: Hi")
    chain = LangChainCompletions(model="gpt-3.5-turbo-instruct", base_url=URL, api_key=API_KEY)  # type: ignore[arg-type]
    same(chain.invoke("Hi"), "Echo: Hi")
    same("".join(chain.stream("Hi there")), "Echo:Hithere")
    judged = client.moderations.create(input=["kill", "hello"])
    same([one.flagged for one in judged.results], [True, False])


async def pictures_and_sounds() -> None:
    async with AsyncOpenAI(base_url=URL, api_key=API_KEY, max_retries=0) as other:
        made = await other.images.generate(model="gpt-image-1.5", prompt="A cat.", n=2)
        same(len(made.data or ()), 2)
        picture = base64.b64decode((made.data or ())[0].b64_json or "")
        edited = await other.images.edit(model="gpt-image-1.5", image=[picture, picture], prompt="Larger.")
        same(len(edited.data or ()), 1)
        kinds = [event.type async for event in await other.images.generate(prompt="A cat.", stream=True)]
        same(kinds, ["image_generation.partial_image", "image_generation.completed"])
        async with other.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alloy", input="Hi."
        ) as sound:
            spoken = b"".join([piece async for piece in sound.iter_bytes()])
        same(spoken[:4], b"RIFF")
        heard = await other.audio.transcriptions.create(model="whisper-1", file=("a.wav", SOUND))
        same(heard.text, f"{len(SOUND)} bytes of a.wav")


def refusals() -> None:
    try:
        client.embeddings.create(model="text-embedding-3-small", input=[])
    except BadRequestError as error:
        same(error.param, "input")
    else:
        raise AssertionError("an empty list was embedded")


def everything() -> None:
    warnings.simplefilter("ignore")
    embeddings()
    texts()
    asyncio.run(pictures_and_sounds())
    refusals()


scenario(everything)
