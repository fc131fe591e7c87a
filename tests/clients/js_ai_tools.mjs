// Vercel's AI SDK: shell and patch tools of @ai-sdk/openai, MCP with approval, files, agents, streams for user interfaces.
import assert from 'node:assert/strict';
import { createOpenAI } from '@ai-sdk/openai';
import { ToolLoopAgent, Output, convertToModelMessages, generateText, isStepCount, readUIMessageStream, streamText, tool } from 'ai';
import { z } from 'zod';
import { API_KEY, BASE_URL, MCP_URL, MODEL, has, play, scenario } from './lib.mjs';

const openai = createOpenAI({ apiKey: API_KEY, baseURL: BASE_URL });
const base = { model: openai.responses(MODEL), maxRetries: 0 };

async function hands() {
  const shell = openai.tools.shell({
    execute: async ({ action }) => ({ output: action.commands.map((one) => ({ stdout: `ran ${one}`, stderr: '', outcome: { type: 'exit', exitCode: 0 } })) }),
  });
  const localShell = openai.tools.localShell({ execute: async ({ action }) => ({ output: `ran ${action.command.join(' ')}` }) });
  const patch = openai.tools.applyPatch({ execute: async ({ operation }) => ({ status: 'completed', output: `${operation.type} ${operation.path}` }) });
  const cases = [
    [{ shell }, ['shell', { commands: ['ls'] }], 'ran ls'],
    [{ local_shell: localShell }, ['local_shell', { command: ['echo', 'hi'] }], 'ran echo hi'],
    [{ apply_patch: patch }, ['apply_patch', { type: 'create_file', path: 'a.txt', diff: '+x' }], 'create_file a.txt'],
  ];
  for (const [tools, call, wanted] of cases) {
    for (const store of [true, false]) {
      const request = { ...base, tools, stopWhen: isStepCount(3), prompt: play('Go', { call: [call] }, { say: '{{tool.0}}' }), providerOptions: { openai: { store } } };
      has((await generateText(request)).text, wanted);
      const stream = streamText(request);
      let text = '';
      for await (const part of stream.fullStream) {
        if (part.type === 'text-delta') text += part.text;
        if (part.type === 'error') throw part.error;
      }
      has(text, wanted);
    }
  }
}

async function approval() {
  const tools = { mcp: openai.tools.mcp({ serverLabel: 'tests', serverUrl: MCP_URL, requireApproval: 'always' }) };
  const messages = [{ role: 'user', content: play('Secret?', { call: [['secret', { name: 'Ada' }]] }, { say: '{{tool.0}}' }) }];
  for (const approved of [true, false]) {
    const asked = await generateText({ ...base, tools, messages });
    const request = asked.content.find((part) => part.type === 'tool-approval-request');
    assert.ok(request, JSON.stringify(asked.content));
    const reply = { role: 'tool', content: [{ type: 'tool-approval-response', approvalId: request.approvalId, approved, providerExecuted: true }] };
    const done = await generateText({ ...base, tools, messages: [...messages, ...asked.responseMessages, reply] });
    assert.equal(done.text.includes('secret-of-Ada'), approved, done.text);
  }
}

async function agents() {
  const look = tool({ description: 'Look', inputSchema: z.object({ at: z.string() }), execute: async ({ at }) => `seen ${at}` });
  const agent = new ToolLoopAgent({ ...base, instructions: 'BE-KIND', tools: { look }, output: Output.object({ schema: z.object({ n: z.number() }) }) });
  const result = await agent.generate({ prompt: play('x', { call: [['look', { at: 'Rome' }]] }, { json: { n: 3 } }) });
  assert.deepEqual(result.output, { n: 3 });

  const stream = streamText({ ...base, tools: { look }, stopWhen: isStepCount(3), prompt: play('x', { think: 'T1', call: [['look', { at: 'Rome' }]] }, { say: '{{tool.0}}' }), providerOptions: { openai: { reasoningSummary: 'auto', forceReasoning: true } } });
  let last;
  for await (const message of readUIMessageStream({ stream: stream.toUIMessageStream() })) last = message;
  const kinds = last.parts.map((part) => part.type);
  for (const kind of ['reasoning', 'tool-look', 'text']) assert.ok(kinds.includes(kind), kinds.join());
  const history = await convertToModelMessages([{ id: 'u', role: 'user', parts: [{ type: 'text', text: 'NOTE colour=blue' }] }, last, { id: 'v', role: 'user', parts: [{ type: 'text', text: play('?', { say: '{{note.colour}} U{{users}}' }) }] }]);
  assert.equal((await generateText({ ...base, tools: { look }, messages: history })).text, 'blue U2');
}

async function files() {
  const pdf = Buffer.from('%PDF-1.4\n%%EOF\n').toString('base64');
  const content = [{ type: 'text', text: play('Read', { say: 'F{{files}}' }) }, { type: 'file', mediaType: 'application/pdf', data: pdf, filename: 'a.pdf' }];
  has((await generateText({ ...base, messages: [{ role: 'user', content }] })).text, 'F');
  const typed = streamText({ ...base, output: Output.object({ schema: z.object({ a: z.string() }) }), prompt: play('x', { json: { a: 'a longer text' } }) });
  let partial;
  for await (const part of typed.partialOutputStream) partial = part;
  assert.deepEqual(partial, { a: 'a longer text' });
  const stopped = new AbortController();
  const long = streamText({ ...base, prompt: play('x', { say: 'x'.repeat(500), pace: 0.05 }), abortSignal: stopped.signal });
  const seen = [];
  for await (const part of long.fullStream) {
    seen.push(part.type);
    if (part.type === 'text-delta') stopped.abort();
  }
  assert.ok(seen.includes('abort'), seen.join());
}

await scenario(async () => {
  await hands();
  await approval();
  await agents();
  await files();
});
