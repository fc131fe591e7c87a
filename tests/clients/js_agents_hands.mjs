// @openai/agents: shell, patches, a namespace, hosted tools, pictures, compaction, agents as tools, a WebSocket.
import assert from 'node:assert/strict';
import * as sdk from '@openai/agents';
import { z } from 'zod';
import { API_KEY, BASE_URL, MODEL, PIXEL, has, play, scenario } from './lib.mjs';

const { Agent, OpenAIProvider, OpenAIResponsesCompactionSession, Runner, run, tool } = sdk;
const look = tool({ name: 'look', description: 'Look', parameters: z.object({ at: z.string() }), execute: async ({ at }) => `seen ${at}` });

async function shell() {
  const ran = [];
  const run_ = async (action) => {
    ran.push(...action.commands);
    return { output: action.commands.map((one) => ({ stdout: `ran ${one}`, stderr: '', outcome: { type: 'exit', exitCode: 0 } })) };
  };
  const agent = new Agent({ name: 'Shell', model: MODEL, tools: [sdk.shellTool({ shell: { run: run_ } })] });
  for (const stream of [false, true]) {
    const result = await run(agent, play('Go', { think: 'T1', call: [['shell', { commands: ['ls', 'pwd'] }]] }, { say: '{{tool.0}} {{thoughts}}' }), { stream });
    if (stream) await result.completed;
    has(result.finalOutput, 'ran ls');
    has(result.finalOutput, 'ran pwd');
    has(result.finalOutput, 'T1');
  }
  assert.deepEqual(ran, ['ls', 'pwd', 'ls', 'pwd']);
}

async function patches() {
  const made = [];
  const keep = async (operation) => {
    made.push([operation.type, operation.path, operation.diff]);
    return { status: 'completed', output: `${operation.type} done` };
  };
  const editor = { createFile: keep, updateFile: keep, deleteFile: keep };
  const agent = new Agent({ name: 'Editor', model: MODEL, tools: [sdk.applyPatchTool({ editor })] });
  const operation = { type: 'create_file', path: 'a.txt', diff: '+one\n' };
  const result = await run(agent, play('Go', { call: [['apply_patch', operation]] }, { say: '{{tool.0}}' }));
  has(result.finalOutput, 'create_file done');
  assert.deepEqual(made, [['create_file', 'a.txt', '+one\n']]);
}

async function others() {
  const spaced = new Agent({ name: 'Spaces', model: MODEL, tools: [...sdk.toolNamespace({ name: 'eyes', description: 'Eyes', tools: [look] })] });
  const seen = await run(spaced, play('Look', { call: [['look', { at: 'Rome' }]] }, { say: '{{tool.0}}' }));
  assert.equal(seen.finalOutput, 'seen Rome');

  const headers = { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' };
  const store = await (await fetch(`${BASE_URL}/vector_stores`, { method: 'POST', headers, body: '{}' })).json();
  const hosted = [sdk.webSearchTool(), sdk.codeInterpreterTool(), sdk.fileSearchTool([store.id]), sdk.imageGenerationTool(), look];
  const offered = (await run(new Agent({ name: 'Hosted', model: MODEL, tools: hosted }), play('x', { say: '{{tools}}' }))).finalOutput;
  has(offered, 'look');
  has(offered, 'file_search');

  const picture = [{ role: 'user', content: [{ type: 'input_text', text: play('See', { say: 'I{{images}}' }) }, { type: 'input_image', image: `data:image/png;base64,${PIXEL}` }] }];
  assert.equal((await run(new Agent({ name: 'Eye', model: MODEL }), picture)).finalOutput, 'I1');
  const camera = tool({ name: 'camera', description: 'Photo', parameters: z.object({}), execute: async () => ({ type: 'image', image: { data: PIXEL, mediaType: 'image/png' } }) });
  assert.equal((await run(new Agent({ name: 'Camera', model: MODEL, tools: [camera] }), play('Photo', { call: [['camera', {}]] }, { say: 'I{{images}}' }))).finalOutput, 'I1');

  const inner = new Agent({ name: 'Inner', model: MODEL, instructions: 'INNER' });
  const outer = new Agent({ name: 'Outer', model: MODEL, tools: [inner.asTool({ toolName: 'ask_inner', toolDescription: 'Ask' })] });
  has((await run(outer, play('x', { call: [['ask_inner', { input: 'hello' }]] }, { say: 'got {{tool.0}}' }))).finalOutput, 'You said: hello');

  const settings = { temperature: 0.25, store: false, reasoning: { effort: 'high', summary: 'auto' }, toolChoice: 'required', parallelToolCalls: false, providerData: { include: ['reasoning.encrypted_content'] } };
  const tuned = new Agent({ name: 'Tuned', model: MODEL, tools: [look], modelSettings: settings });
  const result = await run(tuned, play('x', { think: 'T1', call: [['look', { at: 'x' }]] }, { think: 'T2', say: '{{param.temperature}} {{param.reasoning_effort}} {{thoughts}}' }));
  assert.equal(result.finalOutput, '0.25 "high" T1');
}

async function compaction() {
  const model = `gpt-${MODEL}`;
  const agent = new Agent({ name: 'Long', model });
  for (const compactionMode of ['auto', 'input', 'previous_response_id']) {
    const session = new OpenAIResponsesCompactionSession({ model, compactionMode, shouldTriggerCompaction: ({ sessionItems }) => sessionItems.length >= 4 });
    await run(agent, play('NOTE colour=blue', { say: 'one' }), { session });
    await run(agent, play('More', { say: 'two' }), { session });
    const items = await session.getItems();
    assert.ok(items.some((item) => item.type === 'compaction'), JSON.stringify(items));
    assert.equal((await run(agent, play('Which?', { say: '{{note.colour}}' }), { session })).finalOutput, 'blue');
  }
}

async function socket() {
  const runner = new Runner({ modelProvider: new OpenAIProvider({ useResponses: true, useResponsesWebSocket: true }) });
  const agent = new Agent({ name: 'Socket', model: MODEL, tools: [look] });
  const first = await runner.run(agent, play('NOTE colour=blue', { think: 'T1', call: [['look', { at: 'Rome' }]] }, { say: '{{tool.0}} {{thoughts}}' }));
  assert.equal(first.finalOutput, 'seen Rome T1');
  const second = await runner.run(agent, play('Which?', { say: '{{note.colour}}' }), { previousResponseId: first.lastResponseId });
  assert.equal(second.finalOutput, 'blue');
}

await scenario(async () => {
  await shell();
  await patches();
  await others();
  await compaction();
  await socket();
});
