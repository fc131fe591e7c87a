// @openai/agents: sessions in memory and in conversations, a tool that a person approves, hosted MCP with and without approval.
import assert from 'node:assert/strict';
import { Agent, MemorySession, OpenAIConversationsSession, hostedMcpTool, run, tool } from '@openai/agents';
import { z } from 'zod';
import { MCP_URL, MODEL, has, play, scenario } from './lib.mjs';

await scenario(async () => {
  const agent = new Agent({ name: 'Guide', model: MODEL });
  for (const session of [new MemorySession(), new OpenAIConversationsSession()]) {
    await run(agent, play('NOTE colour=blue', { say: 'noted' }), { session });
    const second = await run(agent, play('Which colour?', { say: '{{note.colour}} U{{users}} A{{assistants}}' }), { session });
    assert.equal(second.finalOutput, 'blue U2 A1');
    assert.equal((await session.getItems()).length, 4);
    await session.popItem();
    assert.equal((await session.getItems()).length, 3);
    await session.clearSession();
  }

  const dangerous = tool({
    name: 'delete_all',
    description: 'Deletes',
    parameters: z.object({ what: z.string() }),
    needsApproval: true,
    execute: async ({ what }) => `deleted ${what}`,
  });
  const careful = new Agent({ name: 'Careful', model: MODEL, tools: [dangerous] });
  let result = await run(careful, play('Go.', { call: [['delete_all', { what: 'x' }]] }, { say: '{{tool.0}}' }));
  assert.equal(result.interruptions.length, 1);
  result.state.approve(result.interruptions[0]);
  result = await run(careful, result.state);
  assert.equal(result.finalOutput, 'deleted x');

  const script = ['Secret?', { call: [['secret', { name: 'Ada' }]] }, { say: '{{tool.0}}' }];
  const hosted = (requireApproval) =>
    new Agent({ name: 'Hosted', model: MODEL, tools: [hostedMcpTool({ serverLabel: 'tests', serverUrl: MCP_URL, requireApproval })] });
  result = await run(hosted('never'), play(...script));
  assert.equal(result.finalOutput, 'secret-of-Ada');

  const asking = hosted('always');
  result = await run(asking, play(...script));
  assert.equal(result.interruptions.length, 1);
  result.state.approve(result.interruptions[0]);
  result = await run(asking, result.state);
  assert.equal(result.finalOutput, 'secret-of-Ada');

  result = await run(asking, play(...script));
  result.state.reject(result.interruptions[0]);
  result = await run(asking, result.state);
  assert.ok(!String(result.finalOutput).includes('secret-of-Ada'));

  const streamed = await run(hosted('never'), play(...script), { stream: true });
  for await (const event of streamed) has(event.type, 'event');
  assert.equal(streamed.finalOutput, 'secret-of-Ada');
});
