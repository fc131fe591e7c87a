// Vercel's AI SDK with @ai-sdk/open-responses: text, stream, tools, reasoning, structured output, images, errors.
import assert from 'node:assert/strict';
import { createOpenResponses } from '@ai-sdk/open-responses';
import { Output, generateText, isStepCount, streamText, tool } from 'ai';
import { z } from 'zod';
import { API_KEY, BASE_URL, MODEL, PIXEL, has, play, scenario } from './lib.mjs';

const tools = {
  get_weather: tool({ description: 'Weather', inputSchema: z.object({ city: z.string() }), execute: async ({ city }) => ({ sky: `sun over ${city}` }) }),
};
const two = { think: 'BOTH', say: 'Looking.', call: [['get_weather', { city: 'Rome' }], ['get_weather', { city: 'Oslo' }]] };

await scenario(async () => {
  const provider = createOpenResponses({ name: 'antiphon', url: `${BASE_URL}/responses`, apiKey: API_KEY });
  const base = { model: provider(MODEL), maxRetries: 0 };

  const plain = await generateText({ ...base, instructions: 'BE-KIND', prompt: play('Hi', { think: 'hm', say: '{{system}} {{param.temperature}}' }), temperature: 0.5 });
  assert.equal(plain.text, 'BE-KIND 0.5');
  assert.equal(plain.reasoningText, 'hm');
  assert.equal(plain.finishReason, 'stop');
  assert.ok(plain.usage.inputTokens > 0 && plain.usage.outputTokens > 0);

  const cut = await generateText({ ...base, prompt: play('Hi', { say: 'x', finish: 'length' }) });
  assert.equal(cut.finishReason, 'length');

  const prompt = play('Weather?', two, { call: [['get_weather', { city: 'Kiel' }]] }, { say: '{{tool.0}};{{tool.1}};{{tool.2}};{{thoughts}}' });
  const loop = await generateText({ ...base, tools, stopWhen: isStepCount(5), prompt });
  for (const city of ['Rome', 'Oslo', 'Kiel']) has(loop.text, `sun over ${city}`);
  assert.equal(loop.steps.length, 3);

  const stream = streamText({ ...base, tools, stopWhen: isStepCount(5), prompt });
  const seen = {};
  let text = '';
  for await (const part of stream.fullStream) {
    seen[part.type] = (seen[part.type] ?? 0) + 1;
    if (part.type === 'text-delta') text += part.text;
    if (part.type === 'error') throw part.error;
  }
  has(text, 'Looking.');
  has(text, 'sun over Kiel');
  assert.deepEqual([seen['tool-call'], seen['tool-result']], [3, 3]);
  assert.ok(seen['reasoning-delta'] > 0, JSON.stringify(seen));

  const chosen = await generateText({ ...base, tools, toolChoice: { type: 'tool', toolName: 'get_weather' }, prompt: play('Hi', { call: [['get_weather', { city: 'Bern' }]] }) });
  assert.equal(chosen.toolCalls[0].input.city, 'Bern');

  const typed = await generateText({ ...base, output: Output.object({ schema: z.object({ city: z.string(), n: z.number() }) }), prompt: play('Give', { json: { city: 'Rome', n: 2 } }) });
  assert.deepEqual(typed.output, { city: 'Rome', n: 2 });

  const content = [{ type: 'text', text: play('See', { say: '{{images}}' }) }, { type: 'file', mediaType: 'image/png', data: PIXEL }];
  const seeing = await generateText({ ...base, messages: [{ role: 'user', content }] });
  assert.equal(seeing.text, '1');

  const history = [{ role: 'user', content: 'NOTE colour=blue' }, ...loop.responseMessages, { role: 'user', content: play('Which?', { say: '{{note.colour}} U{{users}}' }) }];
  const again = await generateText({ ...base, tools, messages: history });
  assert.equal(again.text, 'blue U2');

  await assert.rejects(generateText({ ...base, prompt: play('Fail', { error: { status: 429, message: 'slow down', code: 'rate_limit_exceeded' } }) }), /slow down/);
  await assert.rejects(generateText({ ...base, model: provider('no-such-model'), prompt: 'x' }), /no-such-model/);

  const broken = streamText({ ...base, prompt: play('Break', { say: 'a long enough answer', cut: 2 }), onError: () => {} });
  const parts = [];
  for await (const part of broken.fullStream) parts.push(part.type);
  assert.ok(parts.includes('error') || parts.includes('finish'), JSON.stringify(parts));
});
