// openai-node: decisions of all kinds, refusals, errors.
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { API_KEY, BASE_URL, MODEL, play, scenario } from './lib.mjs';

const says = (label) => play('Which?', { say: label });

await scenario(async () => {
  const client = new OpenAI({ apiKey: API_KEY, baseURL: BASE_URL, maxRetries: 0 });
  const decision = await client.decisions.create({
    model: MODEL,
    input: [{ role: 'user', content: [{ type: 'input_text', text: 'A broken screen.' }, { type: 'input_json', data: { order: 7 } }] }],
    questions: [
      { type: 'predicate', name: 'damaged', instructions: says('Yes') },
      { type: 'choice', instructions: says('B'), choices: [{ value: 'returns' }, { value: false }] },
      { type: 'score', instructions: says('1'), levels: [{ label: 'low' }, { label: 'high' }] },
      { type: 'predicate', name: 'declined', instructions: play('?', { refuse: 'I will not.' }) },
    ],
  });
  const [damaged, department, severity, declined] = decision.answers;
  assert.ok(damaged.type === 'predicate' && damaged.probability > 0.8);
  assert.equal(department.choice, false);
  assert.equal(department.name, null);
  assert.ok(severity.score > 0.5 && severity.score <= 1);
  assert.deepEqual(severity.probabilities.map((one) => one.label), ['low', 'high']);
  assert.deepEqual(declined, { type: 'refusal', name: 'declined' });
  assert.equal(decision.model, MODEL);
  assert.ok(decision.usage.total_tokens > 0);
  await assert.rejects(client.decisions.create({ model: MODEL, input: 'x', questions: [] }), (error) => error.status === 400 && error.param === 'questions');
});
