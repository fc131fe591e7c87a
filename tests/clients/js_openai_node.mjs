// openai-node: parse helpers, streams, structured output, conversations, background with resume, paging, compact, input tokens, files.
import assert from 'node:assert/strict';
import OpenAI, { toFile } from 'openai';
import { zodResponsesFunction, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { API_KEY, BASE_URL, MODEL, has, play, scenario } from './lib.mjs';

const all = async (pages) => {
  const found = [];
  for await (const one of pages) found.push(one);
  return found;
};

await scenario(async () => {
  const client = new OpenAI({ apiKey: API_KEY, baseURL: BASE_URL, maxRetries: 0 });
  const Place = z.object({ city: z.string(), degrees: z.number() });

  const parsed = await client.responses.parse({ model: MODEL, input: play('x', { json: { city: 'Rome', degrees: 20 } }), text: { format: zodTextFormat(Place, 'place') } });
  assert.deepEqual(parsed.output_parsed, { city: 'Rome', degrees: 20 });
  const stream = client.responses.stream({ model: MODEL, input: play('x', { think: 'hm', json: { city: 'Rome', degrees: 20 } }), text: { format: zodTextFormat(Place, 'place') }, reasoning: { summary: 'auto' } });
  const types = new Set();
  for await (const event of stream) types.add(event.type);
  assert.deepEqual((await stream.finalResponse()).output_parsed, { city: 'Rome', degrees: 20 });
  assert.ok(types.has('response.reasoning_summary_text.delta'), [...types].join());

  const called = await client.responses.parse({ model: MODEL, tools: [zodResponsesFunction({ name: 'place', parameters: Place })], input: play('x', { call: [['place', { city: 'Rome', degrees: 1 }]] }, { say: '{{tool.0}}' }) });
  const call = called.output.find((item) => item.type === 'function_call');
  assert.deepEqual(call.parsed_arguments, { city: 'Rome', degrees: 1 });
  const replayed = await client.responses.create({
    model: MODEL,
    store: false,
    tools: [zodResponsesFunction({ name: 'place', parameters: Place })],
    input: [{ role: 'user', content: play('x', { call: [['place', {}]] }, { say: '{{tool.0}}' }) }, ...called.output, { type: 'function_call_output', call_id: call.call_id, output: 'ANSWER' }],
  });
  assert.equal(replayed.output_text, 'ANSWER');

  const conversation = await client.conversations.create({ metadata: { a: 'b' }, items: [{ type: 'message', role: 'user', content: 'NOTE colour=blue' }] });
  await client.responses.create({ model: MODEL, conversation: conversation.id, input: play('x', { say: 'ok' }) });
  const recalled = await client.responses.create({ model: MODEL, conversation: { id: conversation.id }, input: play('y', { say: '{{note.colour}} U{{users}}' }) });
  assert.equal(recalled.output_text, 'blue U3');
  assert.equal((await all(client.conversations.items.list(conversation.id, { limit: 2 }))).length, 5);
  const item = (await all(client.conversations.items.list(conversation.id, { order: 'asc' })))[0];
  assert.equal((await client.conversations.items.retrieve(item.id, { conversation_id: conversation.id })).id, item.id);
  await client.conversations.items.delete(item.id, { conversation_id: conversation.id });
  assert.deepEqual((await client.conversations.update(conversation.id, { metadata: { c: 'd' } })).metadata, { c: 'd' });
  assert.equal((await client.conversations.delete(conversation.id)).deleted, true);

  let job = await client.responses.create({ model: MODEL, background: true, input: play('x', { say: 'done in the background' }) });
  assert.ok(['queued', 'in_progress'].includes(job.status), job.status);
  while (['queued', 'in_progress'].includes(job.status)) job = await client.responses.retrieve(job.id);
  assert.equal(job.output_text, 'done in the background');

  const live = await client.responses.create({ model: MODEL, background: true, stream: true, input: play('x', { say: 'a slow answer of some length', pace: 0.02 }) });
  let id, cursor;
  for await (const event of live) {
    id ??= event.response?.id;
    cursor = event.sequence_number;
    if (event.type === 'response.output_text.delta') break;
  }
  const rest = await all(await client.responses.retrieve(id, { stream: true, starting_after: cursor }));
  assert.equal(rest[0].sequence_number, cursor + 1);
  assert.equal(rest.at(-1).response.output_text ?? rest.at(-1).response.output[0].content[0].text, 'a slow answer of some length');

  const resumed = client.responses.stream({ response_id: id });
  assert.equal((await resumed.finalResponse()).output_text, 'a slow answer of some length');

  const endless = await client.responses.create({ model: MODEL, background: true, input: play('x', { say: 'x'.repeat(700), pace: 0.2 }) });
  assert.equal((await client.responses.cancel(endless.id)).status, 'cancelled');

  const items = await all(client.responses.inputItems.list(job.id));
  assert.equal(items[0].role, 'user');
  await client.responses.delete(job.id);
  await assert.rejects(client.responses.retrieve(job.id), (error) => error.status === 404);

  const counted = await client.responses.inputTokens.count({ model: MODEL, input: 'one two three' });
  assert.ok(counted.input_tokens > 0);
  const compacted = await client.responses.compact({ model: MODEL, input: [{ role: 'user', content: 'NOTE colour=blue' }, { role: 'assistant', content: 'ok' }] });
  const after = await client.responses.create({ model: MODEL, input: [...compacted.output, { role: 'user', content: play('z', { say: '{{note.colour}}' }) }] });
  assert.equal(after.output_text, 'blue');

  const file = await client.files.create({ purpose: 'user_data', file: await toFile(Buffer.from('hello file'), 'a.txt') });
  const filed = await client.responses.create({ model: MODEL, input: [{ role: 'user', content: [{ type: 'input_file', file_id: file.id }, { type: 'input_text', text: play('f', { say: 'F{{files}}' }) }] }] });
  assert.ok(filed.output_text.startsWith('F'));

  const failing = client.responses.stream({ model: MODEL, input: play('x', { say: 'cut in the middle of it', cut: 3 }) });
  await assert.rejects(failing.finalResponse());
  await assert.rejects(client.responses.create({ model: MODEL, input: play('x', { error: { status: 503, message: 'overloaded today' } }) }), /overloaded today/);
  const refused = await client.responses.create({ model: MODEL, input: play('x', { refuse: 'I will not.' }) });
  assert.equal(refused.output[0].content[0].refusal, 'I will not.');

  const completion = await client.chat.completions.create({ model: MODEL, messages: [{ role: 'user', content: play('x', { say: 'chat' }) }] });
  assert.equal(completion.choices[0].message.content, 'chat');
  const odd = await client.responses.create({ model: MODEL, input: play('x', { say: 'ünï\u{1F600}code', piece: 1 }), stream: true });
  has((await all(odd)).filter((event) => event.type === 'response.output_text.delta').map((event) => event.delta).join(''), '\u{1F600}');
});
