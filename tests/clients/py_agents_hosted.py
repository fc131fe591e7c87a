"""openai-agents' hosted tools, as its `examples/tools` use them: the server runs them, the model only follows its script."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import zipfile
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from agents import (
    Agent,
    CodeInterpreterTool,
    FileSearchTool,
    ImageGenerationTool,
    ModelSettings,
    ProgrammaticToolCallingTool,
    Runner,
    ShellTool,
    ToolSearchTool,
    WebSearchTool,
    tool_namespace,
)
from agents.decorators import tool
from openai import AsyncOpenAI
from openai.types.responses.web_search_tool import Filters
from openai.types.shared.reasoning import Reasoning
from pydantic import BaseModel

from tests.clients.agents_sdk import followed, use_server
from tests.clients.lib import MODEL, has, play, same, scenario

CSV = "id,region,amount,status\\n1,north,10,ok\\n2,south,5,failed\\n3,north,7,failed\\n"
SKILL = "---\nname: csv-workbench\ndescription: Analyse CSV files in /mnt/data.\n---\n\nCount with awk.\n"


def agent(tools: Sequence[Any], **settings: Any) -> Agent[Any]:
    return Agent(name="hosted", model=MODEL, tools=[*tools], model_settings=ModelSettings(**settings))


async def both_ways(one: Agent[Any], prompt: Any) -> list[Any]:
    """Run an agent not streamed, and streamed; what was streamed is what came."""
    whole = await Runner.run(one, prompt)
    streamed = Runner.run_streamed(one, prompt)
    text, _ = await followed(streamed)
    has(text, str(streamed.final_output))
    kinds = [[item.raw_item.type for item in result.new_items if _kind(item)] for result in (whole, streamed)]
    same(kinds[1], kinds[0])
    return [whole, streamed]


def _kind(item: Any) -> bool:
    return hasattr(item.raw_item, "type")


def raw(result: Any, kind: str) -> list[Any]:
    """Return the items of a kind."""
    return [item.raw_item for item in result.new_items if getattr(item.raw_item, "type", None) == kind]


def annotations(result: Any) -> list[Any]:
    return [note for message in raw(result, "message") for part in message.content for note in part.annotations]


async def web_search(client: AsyncOpenAI) -> None:
    place: Any = {"type": "approximate", "city": "New York"}
    prompt = play("news", {"call": [["web_search", {"queries": ["fund"]}]]}, {"say": "The fund lapsed 【1】."})
    one = agent([WebSearchTool(user_location=place)])
    for result in await both_ways(one, prompt):
        (call,) = raw(result, "web_search_call")
        same((call.status, call.action.type, call.action.query), ("completed", "search", "fund"))
        (note,) = annotations(result)
        text = result.final_output
        same((note.type, note.title), ("url_citation", "Lapse & relapse"))
        has(text[note.start_index : note.end_index], note.url)
        again = await Runner.run(one, [*result.to_input_list(), {"role": "user", "content": play("?", {"say": "ok"})}])
        same(again.final_output, "ok")


async def web_search_filters(client: AsyncOpenAI) -> None:
    for domain, found in (("127.0.0.1", True), ("developers.openai.com", False)):
        one = agent(
            [WebSearchTool(filters=Filters(allowed_domains=[domain]), search_context_size="medium")],
            reasoning=Reasoning(effort="low"),
            tool_choice="required",
            verbosity="low",
            response_include=["web_search_call.action.sources"],
        )
        steps = [
            {"call": [["web_search", {"queries": ["fund"]}]]},
            {"call": [["open_page", {"url": "1"}]]},
            {"call": [["find_in_page", {"url": "1", "pattern": "lapse"}]]},
            {"say": "It is 【1】."},
        ]
        for result in await both_ways(one, play("compare", *steps)):
            search, opened, sought = raw(result, "web_search_call")
            same([call.action.type for call in (search, opened, sought)], ["search", "open_page", "find_in_page"])
            same([call.status for call in (opened, sought)], ["completed" if found else "failed"] * 2)
            same(len(search.action.sources) > 0, found)
            same([note.type for note in annotations(result)], ["url_citation"] * found)


async def file_search(client: AsyncOpenAI) -> None:
    text = "Arrakis, the desert planet in 'Dune', was inspired by the scarcity of water."
    file = await client.files.create(file=("example.txt", text.encode()), purpose="assistants")
    store = await client.vector_stores.create(
        name="example-vector-store", expires_after={"anchor": "last_active_at", "days": 1}
    )
    indexed = await client.vector_stores.files.create_and_poll(vector_store_id=store.id, file_id=file.id)
    same(indexed.status, "completed")
    prompt = play(
        "Arrakis?", {"call": [["file_search", {"queries": ["Arrakis planet"]}]]}, {"say": "Scarce water 【1】."}
    )
    for shown in (True, False):
        one = agent([FileSearchTool(max_num_results=3, vector_store_ids=[store.id], include_search_results=shown)])
        for result in await both_ways(one, prompt):
            (call,) = raw(result, "file_search_call")
            same((call.status, call.queries), ("completed", ["Arrakis planet"]))
            same([hit.file_id for hit in call.results or ()], [file.id] * shown)
            (note,) = annotations(result)
            same((note.type, note.file_id, note.filename, note.index), ("file_citation", file.id, "example.txt", 13))
            same(result.final_output, "Scarce water .")
    await client.vector_stores.delete(store.id)
    await client.files.delete(file.id)


async def code_interpreter(client: AsyncOpenAI) -> None:
    code = "import math\nopen('/mnt/data/root.txt', 'w').write('x')\nmath.sqrt(273 * 312821 + 1782)"
    steps = [{"call": [["python", {"code": code}]]}, {"say": "{{tool.0}} [file](sandbox:/mnt/data/root.txt)"}]
    one = agent(
        [CodeInterpreterTool(tool_config={"type": "code_interpreter", "container": {"type": "auto"}})],
        response_include=["code_interpreter_call.outputs"],
    )
    for result in await both_ways(one, play("calculate", *steps)):
        (call,) = raw(result, "code_interpreter_call")
        same((call.status, call.code), ("completed", code))
        has(call.outputs[0].logs, "9241.3")
        has(result.final_output, "9241.3")
        (note,) = annotations(result)
        same((note.type, note.container_id, note.filename), ("container_file_citation", call.container_id, "root.txt"))
        content = await client.containers.files.content.retrieve(note.file_id, container_id=note.container_id)
        same(await content.aread(), b"x")


async def image_generator(client: AsyncOpenAI) -> None:
    prompt = play("a frog", {"call": [["image_generation", {"prompt": "a frog that eats"}]]}, {"say": "Drawn."})
    one = agent([ImageGenerationTool(tool_config={"type": "image_generation", "quality": "low"})])
    for result in await both_ways(one, prompt):
        (call,) = raw(result, "image_generation_call")
        same(base64.b64decode(call.result)[:4], b"\x89PNG")
        same(result.final_output, "Drawn.")


def bundle() -> bytes:
    """Return a skill as a zip archive."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("csv-workbench/SKILL.md", SKILL)
        archive.writestr("csv-workbench/playbook.md", "Sum by region.\n")
    return made.getvalue()


async def container_shell(client: AsyncOpenAI) -> None:
    packed = bundle()
    kept = await client.skills.create(files=[("csv-workbench/SKILL.md", SKILL.encode())])
    inline = {
        "type": "inline",
        "name": "csv-workbench",
        "description": "Analyses CSV files.",
        "source": {"type": "base64", "media_type": "application/zip", "data": base64.b64encode(packed).decode()},
    }
    sums = 'awk -F, \'NR>1{s[$2]+=$3; f+=($4=="failed")} END{print s["north"], s["south"], f}\' /mnt/data/orders.csv'
    commands = [f"printf '{CSV}' > /mnt/data/orders.csv", sums, "cat /home/oai/skills/csv-workbench-*/SKILL.md"]
    prompt = play("use the skill", {"call": [["shell", {"commands": commands}]]}, {"say": "{{tool.0}}"})
    reference = {"type": "skill_reference", "skill_id": kept.id, "version": "1"}
    for skill in (inline, reference):
        environment: Any = {"type": "container_auto", "network_policy": {"type": "disabled"}, "skills": [skill]}
        for result in await both_ways(agent([ShellTool(environment=environment)]), prompt):
            has(result.final_output, "17 5 2")
            has(result.final_output, "Count with awk.")
            (call,) = [item for answer in result.raw_responses for item in answer.output if item.type == "shell_call"]
            (output,) = [
                item for answer in result.raw_responses for item in answer.output if item.type == "shell_call_output"
            ]
            same([part.outcome.type for part in output.output], ["exit"] * 3)
            same((call.environment.type, output.call_id), ("container_reference", call.call_id))
            again: Any = {"type": "container_reference", "container_id": call.environment.container_id}
            listed = play("ls", {"call": [["shell", {"commands": ["ls -la /mnt/data"]}]]}, {"say": "{{tool.0}}"})
            for reuse in await both_ways(agent([ShellTool(environment=again)]), listed):
                has(reuse.final_output, "orders.csv")
    await client.skills.delete(kept.id)


class StockOutput(BaseModel):
    sku: str
    units: int


STOCK = {"desk-lamp": 12, "usb-c-dock": 22}


@tool(allowed_callers=["programmatic"])
def get_inventory(sku: str) -> StockOutput:
    """Return the units of a SKU that are there."""
    return StockOutput(sku=sku, units=STOCK[sku])


@tool(allowed_callers=["programmatic"])
def get_weekly_demand(sku: str) -> StockOutput:
    """Return the demand of a SKU for the next seven days."""
    return StockOutput(sku=sku, units=18)


PLAN = """import asyncio, json
async def one(sku):
    there, wanted = await asyncio.gather(tools.get_inventory(sku=sku), tools.get_weekly_demand(sku=sku))
    return max(wanted["units"] + 5 - there["units"], 0)
print(json.dumps(dict(zip(("desk-lamp", "usb-c-dock"), await asyncio.gather(one("desk-lamp"), one("usb-c-dock"))))))
"""


async def programmatic_tool_calling(client: AsyncOpenAI) -> None:
    prompt = play("Reorder?", {"call": [["program", {"code": PLAN}]]}, {"say": "{{tool.0}}"})
    tools = [get_inventory, get_weekly_demand, ProgrammaticToolCallingTool()]
    for result in await both_ways(agent(tools, tool_choice="programmatic_tool_calling"), prompt):
        same(json.loads(result.final_output), {"desk-lamp": 11, "usb-c-dock": 1})
        (program,) = raw(result, "program")
        same(program.code, PLAN)
        calls = raw(result, "function_call")
        same(sorted(call.name for call in calls), ["get_inventory"] * 2 + ["get_weekly_demand"] * 2)
        same({(call.caller.type, call.caller.caller_id) for call in calls}, {("program", program.call_id)})


@tool(defer_loading=True)
def get_customer_profile(customer_id: str) -> str:
    """Fetch a CRM customer profile."""
    return f"profile of {customer_id}"


@tool(defer_loading=True)
def list_open_orders(customer_id: str) -> str:
    """List open orders for a customer."""
    return f"orders of {customer_id}"


@tool(defer_loading=True)
def get_shipping_eta(tracking_number: str) -> str:
    """Look up a shipment ETA by tracking number."""
    return f"eta of {tracking_number}"


@tool(defer_loading=True)
def get_shipping_credit_balance(account: str) -> str:
    """Look up the credit balance of an account."""
    return f"balance of {account}"


async def tool_search(client: AsyncOpenAI) -> None:
    crm = tool_namespace(name="crm", description="Customers.", tools=[get_customer_profile, list_open_orders])
    cases: list[tuple[list[Any], str, list[Any], str]] = [
        ([*crm], "customer orders", ["list_open_orders", {"customer_id": "c42"}], "orders of c42"),
        (
            [get_shipping_eta, get_shipping_credit_balance],
            "shipment ETA",
            ["get_shipping_eta", {"tracking_number": "ZX-1"}],
            "eta of ZX-1",
        ),
    ]
    for tools, query, call, wanted in cases:
        steps = [{"call": [["tool_search", {"query": query}]]}, {"call": [call]}, {"say": "{{tool.1}}"}]
        one = agent([*tools, ToolSearchTool()], parallel_tool_calls=False)
        for result in await both_ways(one, play("look", *steps)):
            same(result.final_output, wanted)
            kinds = [item.type for item in result.new_items]
            same(kinds[:3], ["tool_search_call_item", "tool_search_output_item", "tool_call_item"])


PARTS: Sequence[Callable[[AsyncOpenAI], Awaitable[None]]] = (
    *(web_search, web_search_filters, file_search, code_interpreter, image_generator, container_shell),
    *(programmatic_tool_calling, tool_search),
)


async def everything() -> None:
    client = use_server()
    for part in PARTS:
        await part(client)


scenario(lambda: asyncio.run(everything()))
