// openai-node's chat completions helpers, by the relay: stream, tools that it runs itself, parsed output, several choices, errors.
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { API_KEY, BASE_URL, MODEL, play, scenario } from './lib.mjs';

await scenario(async () => {
  const client = new OpenAI({ apiKey: API_KEY, baseURL: BASE_URL, maxRetries: 0 });
  const ask = (content) => ({ model: MODEL, messages: [{ role: 'user', content }] });

  const stream = client.chat.completions.stream({ ...ask(play('x', { think: 'T1', say: 'a streamed answer' })), stream_options: { include_usage: true } });
  let text = '';
  stream.on('content', (piece) => (text += piece));
  assert.equal(await stream.finalContent(), 'a streamed answer');
  assert.equal(text, 'a streamed answer');
  assert.ok((await stream.totalUsage()).total_tokens > 0);

  const look = { type: 'function', function: { name: 'look', parameters: { type: 'object', properties: { at: { type: 'string' } } }, parse: JSON.parse, function: ({ at }) => `seen ${at}` } };
  const runner = client.chat.completions.runTools({ ...ask(play('x', { call: [['look', { at: 'Rome' }], ['look', { at: 'Oslo' }]] }, { say: '{{tool.0}} {{tool.1}}' })), tools: [look], stream: true });
  assert.equal(await runner.finalContent(), 'seen Rome seen Oslo');

  const parsed = await client.chat.completions.parse({ ...ask(play('x', { json: { n: 4 } })), response_format: zodResponseFormat(z.object({ n: z.number() }), 'n') });
  assert.deepEqual(parsed.choices[0].message.parsed, { n: 4 });
  assert.equal((await client.chat.completions.create({ ...ask('hi'), n: 2 })).choices.length, 2);

  await assert.rejects(client.chat.completions.create(ask(play('x', { error: { status: 429, message: 'slow down' } }))), (error) => error instanceof OpenAI.RateLimitError && /slow down/.test(error.message));
  await assert.rejects(client.chat.completions.create({ ...ask('x'), model: 'no-such-model' }), /no-such-model/);
  const aborted = new AbortController();
  const long = await client.chat.completions.create({ ...ask(play('x', { say: 'x'.repeat(500), pace: 0.05 })), stream: true }, { signal: aborted.signal });
  let pieces = 0;
  for await (const chunk of long) if (chunk.choices[0]?.delta.content && ++pieces === 2) aborted.abort();
  assert.equal(pieces, 2);
});
