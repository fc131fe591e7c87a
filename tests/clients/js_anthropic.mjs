// Anthropic's JavaScript SDK: create, stream, tools and its tool runner, thoughts, pictures, counts, models, errors, abort.
import assert from 'node:assert/strict';
import Anthropic from '@anthropic-ai/sdk';
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import { z } from 'zod';
import { API_KEY, BASE_URL, MODEL, PIXEL, has, play, scenario } from './lib.mjs';

await scenario(async () => {
  const client = new Anthropic({ authToken: API_KEY, baseURL: BASE_URL.replace(/\/v1$/, ''), maxRetries: 0 });
  const ask = (content, more = {}) => ({ model: MODEL, max_tokens: 2000, messages: [{ role: 'user', content }], ...more });
  const text = (message) => message.content.filter((block) => block.type === 'text').map((block) => block.text).join('');
  const essence = ({ content, stop_reason, stop_sequence, model, usage }) => ({
    content: content.map(({ id, signature, ...rest }) => rest), stop_reason, stop_sequence, model, tokens: usage.output_tokens,
  });
  const both = async (fields) => {
    const whole = await client.messages.create(fields);
    const stream = client.messages.stream(fields);
    let pieces = '';
    stream.on('text', (piece) => (pieces += piece));
    assert.deepEqual(essence(await stream.finalMessage()), essence(whole));
    assert.equal(pieces, text(whole));
    return whole;
  };
  const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
  const look = { name: 'look', description: 'Look at a city.', input_schema: schema };

  assert.equal(text(await both(ask(play('x', { say: 'ürgs 🦊 {{system}}' }), { system: 'BE BRIEF' }))), 'ürgs 🦊 BE BRIEF');
  const stopped = await both(ask(play('x', { say: 'One STOP two' }), { stop_sequences: ['STOP'] }));
  assert.deepEqual([text(stopped), stopped.stop_reason, stopped.stop_sequence], ['One ', 'stop_sequence', 'STOP']);

  const thinking = { type: 'adaptive', display: 'omitted' };
  const two = play('Go.', { think: 'THOUGHT', call: [['look', { city: 'Rome' }], ['look', { city: 'Oslo' }]] }, { say: '{{thoughts}} {{tool.0}} {{tool.1}}' });
  const called = await both(ask(two, { tools: [look], thinking }));
  assert.deepEqual(called.content.map((block) => block.type), ['thinking', 'tool_use', 'tool_use']);
  assert.equal(called.content[0].thinking, '');
  const results = called.content.slice(1).map(({ id, input }) => ({ type: 'tool_result', tool_use_id: id, content: `seen ${input.city}` }));
  const history = [{ role: 'user', content: two }, { role: 'assistant', content: called.content }, { role: 'user', content: results }];
  assert.equal(text(await both({ ...ask('', { tools: [look], thinking }), messages: history })), 'THOUGHT seen Rome seen Oslo');

  const runnable = betaZodTool({ name: 'look', description: 'Look.', inputSchema: z.object({ city: z.string() }), run: ({ city }) => `seen ${city}` });
  const run = (more) => client.beta.messages.toolRunner(ask(play('Go.', { call: [['look', { city: 'Rome' }]] }, { say: '{{tool.0}}' }), { tools: [runnable], ...more }));
  assert.equal(text(await run({}).runUntilDone()), 'seen Rome');
  assert.equal(text(await run({ stream: true }).runUntilDone()), 'seen Rome');

  const format = zodOutputFormat(z.object({ x: z.number() }));
  const parsed = await client.messages.parse(ask(play('x', { json: { x: 4 } }), { output_config: { format } }));
  assert.deepEqual(parsed.parsed_output, { x: 4 });
  const picture = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PIXEL } };
  assert.equal(text(await both(ask([picture, { type: 'text', text: play('x', { say: 'I{{images}}' }) }]))), 'I1');

  const { input_tokens: few } = await client.messages.countTokens({ model: MODEL, messages: [{ role: 'user', content: 'Hi.' }] });
  const { input_tokens: many } = await client.messages.countTokens({ model: MODEL, messages: [{ role: 'user', content: 'Hi. '.repeat(500) }], tools: [look] });
  assert.ok(few > 0 && many > few, `${few} ${many}`);
  const ids = [];
  for await (const model of client.models.list({ limit: 2 })) ids.push(model.id);
  assert.ok(ids.includes(MODEL) && ids.includes(`anthropic/${MODEL}`) && new Set(ids).size === ids.length, ids.join());
  assert.equal((await client.models.retrieve(MODEL)).max_input_tokens, 131072);

  const refused = (call, kind, type, words) =>
    assert.rejects(call, (error) => {
      assert.ok(error instanceof kind, `${error.constructor.name} ${error.message}`);
      assert.equal(error.type, type);
      assert.match(error.requestID, /^req_/);
      has(error.message, words);
      return true;
    });
  await refused(client.messages.create({ ...ask('x'), messages: [{ role: 'robot', content: 'x' }] }), Anthropic.BadRequestError, 'invalid_request_error', 'messages.0.role');
  await refused(client.messages.create(ask('x', { model: 'no-such' })), Anthropic.NotFoundError, 'not_found_error', 'no-such');
  await refused(client.messages.create(ask(play('x', { error: { status: 429, message: 'slow down' } }))), Anthropic.RateLimitError, 'rate_limit_error', 'slow down');
  await refused(client.messages.stream(ask('word '.repeat(50000), { model: 'narrow' })).finalMessage(), Anthropic.BadRequestError, 'invalid_request_error', 'prompt is too long: ');
  await assert.rejects(client.messages.stream(ask(play('x', { say: 'never whole', piece: 2, cut: 4 }))).finalMessage(), /api_error/);
  const aborted = new AbortController();
  const long = await client.messages.create({ ...ask(play('x', { say: 'x'.repeat(500), pace: 0.05 })), stream: true }, { signal: aborted.signal });
  let pieces = 0;
  for await (const event of long) if (event.type === 'content_block_delta' && ++pieces === 2) aborted.abort();
  assert.ok(pieces < 50, `${pieces} of 500 pieces after the client left`); // those that had come by then are still told
});
