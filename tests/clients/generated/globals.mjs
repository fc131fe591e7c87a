// What the generated tests of openai-node take from Jest, on Node's own test runner; before each test the store is filled anew.
import { beforeEach, describe, test } from 'node:test';
import assert from 'node:assert/strict';

function matchers(value, wanted) {
  const check = (holds, words) => assert.ok(holds === wanted, `${words}${wanted ? '' : ' not'} expected`);
  return {
    toBe: (other) => check(Object.is(value, other), `${value} to be ${other}`),
    toEqual: (other) => assert.deepEqual(value, other),
    toBeInstanceOf: (type) => check(value instanceof type, `an instance of ${type.name}`),
  };
}

globalThis.describe = describe;
globalThis.test = test;
test.skip ??= (name) => test(name, { skip: true });
globalThis.expect = (value) => ({
  ...matchers(value, true),
  not: matchers(value, false),
  rejects: {
    toThrow: (type) => assert.rejects(value, (error) => typeof type !== 'function' || error instanceof type),
  },
});
beforeEach(async () => {
  const { ok } = await fetch(process.env.SEEDING_URL);
  assert.ok(ok, 'the store was not filled');
});
