// Mastra with @ai-sdk/openai's Responses model, and with its own model by URL: answers, tools, streams, structured output, turns.
import { createRequire } from "node:module";
import path from "node:path";

const installed = createRequire(path.join(process.env.FOLDER, "/"));
const load = (name) => import(installed.resolve(name));
const { Agent } = await load("@mastra/core/agent");
const { createTool } = await load("@mastra/core/tools");
const { createOpenAI } = await load("@ai-sdk/openai");
const { z } = await load("zod");

const { BASE_URL, API_KEY, MODEL } = process.env;
const openai = createOpenAI({ baseURL: BASE_URL, apiKey: API_KEY });
const play = (text, ...steps) => `${text} <play>${steps.map((step) => JSON.stringify(step)).join(",")}</play>`;
const TOOLS = [
  { think: "FIRST", call: [["add", { a: 2, b: 3 }], ["add", { a: 4, b: 5 }]] },
  { say: "sum {{tool.0}} {{tool.1}} {{thoughts}}" },
];
const add = createTool({
  id: "add",
  description: "Adds two numbers.",
  inputSchema: z.object({ a: z.number(), b: z.number() }),
  execute: async (given) => {
    const { a, b } = given.context ?? given;
    return { sum: a + b };
  },
});
const agent = () => new Agent({ id: "x", name: "x", instructions: "BE", model: openai.responses(MODEL), tools: { add } });

function same(seen, wanted) {
  const [one, other] = [JSON.stringify(seen), JSON.stringify(wanted)];
  if (one !== other) throw new Error(`${one} is not ${other}`);
}

async function joined(stream) {
  let text = "";
  for await (const piece of stream) text += piece;
  return text;
}

let cases = 0;
async function test(name, body) {
  cases += 1;
  try {
    await body();
    console.log(`✓ ${name}`);
  } catch (error) {
    console.log(`✗ ${name}: ${String(error.stack ?? error).replace(/\s+/g, " ").slice(0, 900)}`);
  }
}

const SUM = 'sum {"sum":5} {"sum":9} FIRST';
await test("hello", async () => {
  const answer = await agent().generate(play("Hi", { think: "T", say: "hello {{system}}", usage: [5, 6] }));
  same([answer.text, answer.usage.totalTokens], ["hello BE", 11]);
});
await test("stream", async () => {
  const answer = await agent().stream(play("Hi", { think: "T", say: "hello there, friend" }));
  same(await joined(answer.textStream), "hello there, friend");
});
await test("two tools", async () => same((await agent().generate(play("Add", ...TOOLS))).text, SUM));
await test("two tools, streamed", async () => same(await joined((await agent().stream(play("Add", ...TOOLS))).textStream), SUM));
await test("structured output", async () => {
  const schema = z.object({ colour: z.string() });
  const answer = await agent().generate(play("Which?", { json: { colour: "red" } }), { structuredOutput: { schema } });
  same(answer.object, { colour: "red" });
});
await test("conversation", async () => {
  const turns = [
    { role: "user", content: "NOTE colour=blue" },
    { role: "assistant", content: "Yes" },
    { role: "user", content: play("Which?", { say: "{{note.colour}} {{assistants}}" }) },
  ];
  same((await agent().generate(turns)).text, "blue 1");
});
await test("chat completions", async () => {
  const model = { id: `ours/${MODEL}`, url: BASE_URL, apiKey: API_KEY };
  const answer = await new Agent({ id: "y", name: "y", instructions: "BE", model }).generate(play("Hi", { say: "hello" }));
  same(answer.text, "hello");
});
console.log(`cases: ${cases}`);
process.exit(0);
