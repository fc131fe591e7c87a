// Vercel's AI SDK: the hosted tools of @ai-sdk/openai, as its examples use them, not streamed and streamed, and sent back.
import assert from 'node:assert/strict';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, isStepCount, streamText, tool } from 'ai';
import OpenAI, { toFile } from 'openai';
import { z } from 'zod';
import { API_KEY, BASE_URL, MODEL, has, play, scenario } from './lib.mjs';

const openai = createOpenAI({ apiKey: API_KEY, baseURL: BASE_URL });
const files = new OpenAI({ apiKey: API_KEY, baseURL: BASE_URL, maxRetries: 0 });
const base = { model: openai.responses(MODEL), maxRetries: 0, stopWhen: isStepCount(4) };

/** Ask in both ways, stored and not; what comes is equal but for ids. */
async function* bothWays(request, stores = [true, false]) {
  for (const store of stores) {
    const given = { ...base, ...request, providerOptions: { openai: { store } } };
    const whole = await generateText(given);
    yield { text: whole.text, content: whole.steps.flatMap((step) => step.content), sources: whole.sources, messages: whole.responseMessages, given };
    const stream = streamText(given);
    const content = [];
    let text = '';
    for await (const part of stream.fullStream) {
      if (part.type === 'error') throw part.error;
      if (part.type === 'text-delta') text += part.text;
      content.push(part);
    }
    has(text, await stream.text);
    yield { text: await stream.text, content, sources: await stream.sources, messages: await stream.responseMessages, given };
  }
}

const parts = ({ content }, type, name) => content.filter((part) => part.type === type && (!name || part.toolName === name));

/** The next question, with all that was said before. */
async function again({ given, messages }) {
  const { prompt, toolChoice, ...rest } = given;
  const asked = [{ role: 'user', content: prompt }, ...messages, { role: 'user', content: play('And?', { say: 'U{{users}}' }) }];
  assert.equal((await generateText({ ...rest, messages: asked })).text, 'U2');
}

async function webSearch() {
  const steps = [{ call: [['web_search', { queries: ['fund'] }]] }, { call: [['open_page', { url: '1' }]] }, { call: [['find_in_page', { url: '1', pattern: 'lapse' }]] }, { say: 'It lapsed 【1】.' }];
  const tools = { web_search: openai.tools.webSearch({ searchContextSize: 'medium', externalWebAccess: true, userLocation: { type: 'approximate', city: 'Rome', country: 'IT' } }) };
  for await (const answer of bothWays({ tools, prompt: play('News?', ...steps) })) {
    const results = parts(answer, 'tool-result', 'web_search');
    assert.deepEqual(results.map((one) => one.output.action?.type), ['search', 'openPage', 'findInPage']);
    assert.equal(results[0].output.sources.length, 2);
    has(JSON.stringify(answer.content), '"title":"Lapse & relapse"'); // the citation: of a source, or with the text
    has(answer.text, answer.sources[0].url);
    await again(answer);
  }
  const blocked = { web_search: openai.tools.webSearch({ filters: { blockedDomains: ['127.0.0.1'] } }) };
  for await (const answer of bothWays({ tools: blocked, toolChoice: { type: 'tool', toolName: 'web_search' }, prompt: play('News?', steps[0], steps[3]) })) {
    assert.equal(answer.sources.length, 0);
  }
}

async function fileSearch() {
  const file = await files.files.create({ file: await toFile(Buffer.from('Qubits are in two states at once.'), 'quantum.txt'), purpose: 'assistants' });
  const store = await files.vectorStores.create({ name: 's', file_ids: [file.id] });
  while ((await files.vectorStores.retrieve(store.id)).status === 'in_progress') await new Promise((done) => setTimeout(done, 100));
  const tools = { file_search: openai.tools.fileSearch({ vectorStoreIds: [store.id], maxNumResults: 10, ranking: { ranker: 'auto' } }) };
  const prompt = play('What is it?', { call: [['file_search', { queries: ['qubits'] }]] }, { say: 'Two states 【1】.' });
  for await (const answer of bothWays({ tools, toolChoice: { type: 'tool', toolName: 'file_search' }, prompt })) {
    const [result] = parts(answer, 'tool-result', 'file_search');
    assert.deepEqual(result.output.queries, ['qubits']);
    assert.equal(answer.sources[0].filename, 'quantum.txt');
    assert.equal(answer.sources[0].providerMetadata.openai.fileId, file.id);
    await again(answer);
  }
}

async function codeInterpreter() {
  const code = "open('/mnt/data/n.csv', 'w').write('1')\nprint(6 * 7)";
  const tools = { code_interpreter: openai.tools.codeInterpreter() };
  const prompt = play('Save it', { call: [['python', { code }]] }, { say: '{{tool.0}} [n](sandbox:/mnt/data/n.csv)' });
  for await (const answer of bothWays({ tools, prompt })) {
    const [call] = parts(answer, 'tool-call', 'code_interpreter');
    assert.equal(call.input.code, code);
    const [result] = parts(answer, 'tool-result', 'code_interpreter');
    has(result.output.outputs[0].logs, '42');
    const { containerId, fileId } = answer.sources[0].providerMetadata.openai;
    const content = await files.containers.files.content.retrieve(fileId, { container_id: containerId });
    assert.equal(await content.text(), '1');
    await again(answer);
  }
  const kept = await files.containers.create({ name: 'mine' });
  const named = { code_interpreter: openai.tools.codeInterpreter({ container: kept.id }) };
  for await (const answer of bothWays({ tools: named, prompt }, [true])) {
    assert.equal(parts(answer, 'tool-call', 'code_interpreter')[0].input.containerId, kept.id);
  }
}

async function imageGeneration() {
  const tools = { image_generation: openai.tools.imageGeneration({ outputFormat: 'png', quality: 'low', size: '1024x1024', partialImages: 2 }) };
  const prompt = play('A cat', { call: [['image_generation', { prompt: 'a cat' }]] }, { say: 'There.' });
  for await (const answer of bothWays({ tools, prompt })) {
    const result = parts(answer, 'tool-result', 'image_generation').at(-1);
    has(Buffer.from(result.output.result, 'base64').subarray(0, 4).toString('latin1'), 'PNG');
    assert.equal(answer.text, 'There.');
    await again(answer);
  }
}

async function shellContainer() {
  const skill = { type: 'inline', name: 'island-rescue', description: 'How to be rescued', source: { type: 'base64', mediaType: 'application/zip', data: ZIP } };
  const commands = ['uname -s > /mnt/data/who; cat /mnt/data/who', 'cat /home/oai/skills/island-rescue-*/SKILL.md'];
  const prompt = play('Where?', { call: [['shell', { commands }]] }, { say: '{{tool.0}}' });
  const tools = { shell: openai.tools.shell({ environment: { type: 'containerAuto', skills: [skill] } }) };
  for await (const answer of bothWays({ tools, prompt })) {
    has(answer.text, 'Linux');
    has(answer.text, 'Wave.');
    const [result] = parts(answer, 'tool-result', 'shell');
    assert.deepEqual(result.output.output.map((one) => one.outcome), [{ type: 'exit', exitCode: 0 }, { type: 'exit', exitCode: 0 }]);
    const { prompt: asked, ...rest } = answer.given;
    const messages = [{ role: 'user', content: asked }, ...answer.messages, { role: 'user', content: play('Again', { call: [['shell', { commands: ['cat /mnt/data/who'] }]] }, { say: '{{tool.0}}' }) }];
    has((await generateText({ ...rest, messages })).text, 'Linux');
  }
}

async function programs() {
  const units = (name, count) =>
    tool({
      description: `Get ${name}.`,
      inputSchema: z.object({ sku: z.string() }),
      execute: async ({ sku }) => ({ sku, units: count }),
      providerOptions: { openai: { allowedCallers: ['programmatic'], outputSchema: { type: 'object', properties: { sku: { type: 'string' }, units: { type: 'number' } }, required: ['sku', 'units'], additionalProperties: false } } },
    });
  const tools = { program: openai.tools.programmaticToolCalling(), getInventory: units('inventory', 42), getDemand: units('demand', 31) };
  const code = "import asyncio\na, b = await asyncio.gather(tools.getInventory(sku='s'), tools.getDemand(sku='s'))\nprint(a['units'] - b['units'])";
  for await (const answer of bothWays({ tools, prompt: play('Enough?', { call: [['program', { code }]] }, { say: 'left {{tool.0}}' }) })) {
    has(answer.text, 'left 11');
    assert.equal(parts(answer, 'tool-call', 'program')[0].input.code, code);
    assert.equal(parts(answer, 'tool-call').filter((part) => part.toolName.startsWith('get')).length, 2);
  }
}

async function toolSearch() {
  const late = (description, group) => tool({ description, inputSchema: z.object({ location: z.string() }), execute: async ({ location }) => `fine in ${location}`, providerOptions: { openai: { deferLoading: true, ...group } } });
  const crm = { namespace: { name: 'crm', description: 'CRM tools' } };
  const cases = [
    [{ get_weather: late('Get the current weather'), send_email: late('Send an email') }, 'weather', 'get_weather'],
    [{ list_open_orders: late('List open orders', crm), get_customer: late('Fetch a customer', crm) }, 'orders', 'list_open_orders'],
  ];
  for (const [some, query, name] of cases) {
    const tools = { toolSearch: openai.tools.toolSearch(), ...some };
    const prompt = play('Weather?', { call: [['tool_search', { query }]] }, { call: [[name, { location: 'Rome' }]] }, { say: '{{tool.1}}' });
    for await (const answer of bothWays({ tools, prompt })) {
      has(answer.text, 'fine in Rome');
      assert.equal(parts(answer, 'tool-result', 'toolSearch').length, 1);
    }
  }
}

/** A skill in a zip archive whose files are stored as they are. */
function zip(name, content) {
  const crc = (bytes) => {
    let sum = ~0;
    for (const byte of bytes) {
      sum ^= byte;
      for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
    }
    return ~sum >>> 0;
  };
  const [title, body] = [Buffer.from(name), Buffer.from(content)];
  const about = Buffer.alloc(24);
  about.writeUInt16LE(20, 0);
  about.writeUInt32LE(crc(body), 10);
  about.writeUInt32LE(body.length, 14);
  about.writeUInt32LE(body.length, 18);
  about.writeUInt16LE(title.length, 22);
  const local = Buffer.concat([Buffer.from('PK\x03\x04'), about, Buffer.alloc(2), title, body]);
  const entry = Buffer.concat([Buffer.from('PK\x01\x02'), Buffer.from([20, 0]), about, Buffer.alloc(16), title]);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(1, 4);
  end.writeUInt16LE(1, 6);
  end.writeUInt32LE(entry.length, 8);
  end.writeUInt32LE(local.length, 12);
  return Buffer.concat([local, entry, Buffer.from('PK\x05\x06'), end]).toString('base64');
}

const ZIP = zip('SKILL.md', '---\nname: island-rescue\ndescription: How to be rescued\n---\n\nWave.\n');

await scenario(async () => {
  for (const part of [webSearch, fileSearch, codeInterpreter, imageGeneration, shellContainer, programs, toolSearch]) await part();
});
