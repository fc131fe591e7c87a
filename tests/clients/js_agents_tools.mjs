// @openai/agents: function tools in parallel, handoff, structured output, guard of turns, streaming; stateless and by previous_response_id.
import assert from 'node:assert/strict';
import { Agent, handoff, run, tool } from '@openai/agents';
import { z } from 'zod';
import { MODEL, has, play, scenario } from './lib.mjs';

const weather = tool({
  name: 'get_weather',
  description: 'Weather of a city',
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => `sun over ${city}`,
});
const two = { think: 'BOTH', say: 'Looking.', call: [['get_weather', { city: 'Rome' }], ['get_weather', { city: 'Oslo' }]] };

await scenario(async () => {
  const agent = new Agent({ name: 'Guide', instructions: 'BE-KIND', model: MODEL, tools: [weather] });
  const prompt = play('Weather?', two, { call: [['get_weather', { city: 'Kiel' }]] }, { say: '{{tool.0}};{{tool.1}};{{tool.2}};{{system}};{{thoughts}}' });
  const first = await run(agent, prompt);
  assert.equal(first.finalOutput, 'sun over Rome;sun over Oslo;sun over Kiel;BE-KIND;BOTH');
  assert.ok(first.state.usage.inputTokens > 0 && first.state.usage.outputTokens > 0);

  const streamed = await run(agent, prompt, { stream: true });
  const kinds = new Set();
  let text = '';
  for await (const event of streamed) {
    kinds.add(event.type === 'run_item_stream_event' ? event.name : event.type);
    if (event.type === 'raw_model_stream_event' && event.data.type === 'output_text_delta') text += event.data.delta;
  }
  await streamed.completed;
  assert.equal(streamed.finalOutput, first.finalOutput);
  assert.equal(text, `Looking.${first.finalOutput}`);
  for (const kind of ['tool_called', 'tool_output', 'message_output_created', 'reasoning_item_created']) assert.ok(kinds.has(kind), kind);

  const again = await run(agent, [...first.history, { role: 'user', content: play('More?', { say: 'U{{users}} A{{assistants}} {{thoughts}}' }) }]);
  has(again.finalOutput, 'U2 A');
  has(again.finalOutput, 'BOTH');

  const chained = await run(agent, play('And?', { say: 'U{{users}}' }), { previousResponseId: first.lastResponseId });
  assert.equal(chained.finalOutput, 'U2');

  const expert = new Agent({ name: 'Expert', instructions: 'EXPERT-SAYS', handoffDescription: 'knows all', model: MODEL });
  const desk = Agent.create({ name: 'Desk', model: MODEL, handoffs: [handoff(expert)] });
  const handed = await run(desk, play('Ask the expert.', { call: [['transfer_to_Expert', {}]] }, { say: 'I am {{system}}' }));
  assert.equal(handed.finalOutput, 'I am EXPERT-SAYS');
  assert.equal(handed.lastAgent.name, 'Expert');

  const typed = new Agent({ name: 'Typed', model: MODEL, outputType: z.object({ city: z.string(), degrees: z.number() }) });
  const out = await run(typed, play('Give it.', { json: { city: 'Rome', degrees: 21 } }));
  assert.deepEqual(out.finalOutput, { city: 'Rome', degrees: 21 });
});
