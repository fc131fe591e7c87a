// Vercel's AI SDK with @ai-sdk/openai: replay of reasoning by reference and sealed, provider tools, structured output, files, chat model.
import assert from 'node:assert/strict';
import { createOpenAI } from '@ai-sdk/openai';
import { Output, generateText, isStepCount, streamText, tool } from 'ai';
import { z } from 'zod';
import { API_KEY, BASE_URL, MCP_URL, MODEL, PIXEL, has, play, scenario } from './lib.mjs';

const tools = {
  get_weather: tool({ description: 'Weather', inputSchema: z.object({ city: z.string() }), execute: async ({ city }) => `sun over ${city}` }),
};

await scenario(async () => {
  const openai = createOpenAI({ apiKey: API_KEY, baseURL: BASE_URL });
  const base = { model: openai.responses(MODEL), maxRetries: 0 };
  const prompt = play('Weather?', { think: 'FIRST', call: [['get_weather', { city: 'Rome' }]] }, { think: 'SECOND', call: [['get_weather', { city: 'Oslo' }]] }, { say: '{{tool.0}};{{tool.1}};{{thoughts}}' });

  const ways = [
    {},
    { store: true },
    { store: false },
    { store: false, include: ['reasoning.encrypted_content'], reasoningSummary: 'auto' },
    { reasoningSummary: 'detailed', reasoningEffort: 'high', parallelToolCalls: false, metadata: { a: 'b' }, textVerbosity: 'low', user: 'u1' },
  ];
  for (const options of ways) {
    const providerOptions = { openai: { forceReasoning: true, ...options } };
    const done = await generateText({ ...base, tools, stopWhen: isStepCount(5), prompt, providerOptions });
    has(done.text, 'sun over Rome;sun over Oslo;');
    const stream = streamText({ ...base, tools, stopWhen: isStepCount(5), prompt, providerOptions });
    let text = '';
    for await (const part of stream.fullStream) {
      if (part.type === 'text-delta') text += part.text;
      if (part.type === 'error') throw part.error;
    }
    has(text, 'sun over Rome;sun over Oslo;');
    if (options.store !== false || options.include) {
      has(done.text, 'FIRST | SECOND');
      has(text, 'FIRST | SECOND');
    }
    const messages = [{ role: 'user', content: prompt }, ...done.responseMessages, { role: 'user', content: play('And?', { say: 'U{{users}} A{{assistants}}' }) }];
    const again = await generateText({ ...base, tools, messages, providerOptions });
    assert.equal(again.text, 'U2 A3');
  }

  const summed = await generateText({ ...base, prompt: play('Think', { think: 'DEEP', say: 'ok' }), providerOptions: { openai: { reasoningSummary: 'auto', forceReasoning: true } } });
  assert.equal(summed.reasoningText, 'DEEP');

  const mcp = await generateText({
    ...base,
    tools: { mcp: openai.tools.mcp({ serverLabel: 'tests', serverUrl: MCP_URL, requireApproval: 'never' }) },
    prompt: play('Secret?', { call: [['secret', { name: 'Ada' }]] }, { say: '{{tool.0}}' }),
  });
  assert.equal(mcp.text, 'secret-of-Ada');

  const patch = await generateText({
    ...base,
    tools: { write_sql: openai.tools.customTool({ description: 'SQL', format: { type: 'text' }, execute: async (text) => `ran ${text}` }) },
    stopWhen: isStepCount(3),
    prompt: play('Run', { raw: ['write_sql', 'select "1"'] }, { say: '{{tool.0}}' }),
  });
  assert.equal(patch.text, 'ran select "1"');

  const searching = await generateText({ ...base, tools: { web_search: openai.tools.webSearch({}), ...tools }, prompt: play('x', { say: 'fine' }) });
  assert.equal(searching.text, 'fine');

  const array = await generateText({ ...base, output: Output.array({ element: z.object({ n: z.number() }) }), prompt: play('x', { json: { elements: [{ n: 1 }, { n: 2 }] } }) });
  assert.deepEqual(array.output, [{ n: 1 }, { n: 2 }]);
  const choice = await generateText({ ...base, output: Output.choice({ options: ['red', 'blue'] }), prompt: play('x', { json: { result: 'blue' } }) });
  assert.equal(choice.output, 'blue');

  const content = [
    { type: 'text', text: play('See', { say: 'I{{images}}' }) },
    { type: 'file', mediaType: 'image/png', data: PIXEL },
  ];
  assert.equal((await generateText({ ...base, messages: [{ role: 'user', content }] })).text, 'I1');

  const picture = { type: 'content', value: [{ type: 'text', text: 'a picture' }, { type: 'file', mediaType: 'image/png', data: { type: 'data', data: PIXEL } }] };
  const camera = tool({ description: 'Photo', inputSchema: z.object({}), execute: async () => 'x', toModelOutput: () => picture });
  const photo = await generateText({ ...base, tools: { camera }, stopWhen: isStepCount(3), prompt: play('Photo', { call: [['camera', {}]] }, { say: '{{tool.0}} I{{images}}' }) });
  has(photo.text, 'a picture');
  has(photo.text, 'I1');

  const chat = await generateText({ ...base, model: openai.chat(MODEL), tools, stopWhen: isStepCount(5), prompt });
  has(chat.text, 'sun over Rome;sun over Oslo');
  await assert.rejects(generateText({ ...base, prompt: play('x', { error: { status: 400, message: 'too odd', code: 'odd' } }) }), /too odd/);
});
