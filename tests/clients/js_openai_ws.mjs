// openai-node's WebSocket client: turns in a row, state on the connection with store:false, warm-up, errors that leave it alive.
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { ResponsesWS } from 'openai/resources/responses/ws';
import { API_KEY, BASE_URL, MODEL, play, scenario } from './lib.mjs';

await scenario(async () => {
  const client = new OpenAI({ apiKey: API_KEY, baseURL: BASE_URL });
  const socket = new ResponsesWS(client);
  const waiting = [];
  const early = [];
  const give = (event) => (waiting.length ? waiting.shift()(event) : early.push(event));
  socket.on('event', give);
  socket.on('error', () => {});
  const next = () => (early.length ? early.shift() : new Promise((resolve) => waiting.push(resolve)));
  const turn = async (fields) => {
    socket.send({ type: 'response.create', model: MODEL, ...fields });
    const events = [];
    do events.push(await next());
    while (!['response.completed', 'response.failed', 'response.incomplete', 'error'].includes(events.at(-1).type));
    return events;
  };
  const text = (events) => events.at(-1).response.output.flatMap((item) => item.content ?? []).map((part) => part.text).join('');

  const warm = await turn({ generate: false, store: false, input: 'NOTE colour=blue' });
  assert.equal(warm.at(-1).type, 'response.completed');
  const first = await turn({ store: false, previous_response_id: warm.at(-1).response.id, input: play('x', { say: '{{note.colour}}' }) });
  assert.equal(text(first), 'blue');
  assert.deepEqual(first.map((event) => event.sequence_number), first.map((_, n) => n));
  const second = await turn({ store: false, previous_response_id: first.at(-1).response.id, input: play('y', { say: 'U{{users}} A{{assistants}}' }) });
  assert.equal(text(second), 'U3 A1');

  const wrong = await turn({ previous_response_id: 'resp_none', input: 'x' });
  assert.equal(wrong.at(-1).type, 'error');
  assert.equal(text(await turn({ input: play('z', { say: 'still here' }) })), 'still here');
  socket.close();
});
