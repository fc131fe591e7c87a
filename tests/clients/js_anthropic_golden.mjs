// Anthropic's JavaScript SDK folds the recorded events of every golden case to its recorded Message.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import Anthropic from '@anthropic-ai/sdk';
import { scenario } from './lib.mjs';

const root = new URL('../golden/', import.meta.url);
const read = (name, file) => readFileSync(new URL(`${name}/${file}`, root), 'utf8');

await scenario(async () => {
  const cases = readdirSync(root).filter((name) => existsSync(new URL(`${name}/message.json`, root)));
  let folded = 0;
  for (const name of cases) {
    const ours = JSON.parse(read(name, 'message.json'));
    const events = read(name, 'message.events.jsonl').trim().split('\n');
    const body = events.map((event) => `event: ${JSON.parse(event).type}\ndata: ${event}\n\n`).join('');
    const fetch = async () => new Response(body, { headers: { 'content-type': 'text/event-stream' } });
    const client = new Anthropic({ authToken: 'none', baseURL: 'http://golden', fetch, maxRetries: 0 });
    const message = client.messages.stream({ model: 'm', max_tokens: 9, messages: [{ role: 'user', content: '…' }] }).finalMessage();
    if (ours.type === 'error') {
      await assert.rejects(message, (error) => error.message.includes(ours.error.message), name);
      continue;
    }
    const theirs = JSON.parse(JSON.stringify(await message));
    delete theirs._request_id;
    delete theirs.parsed_output;
    for (const [index, block] of theirs.content.entries()) {
      delete block.parsed_output;
      if (block.type === 'tool_use' && ours.stop_reason === 'max_tokens') block.input = ours.content[index].input; // they complete what was cut off
    }
    assert.deepEqual(theirs, ours, name);
    folded += 1;
  }
  assert.ok(folded > 30, `${folded}`);
});
