// What the JavaScript scenarios share. BASE_URL, API_KEY and MODEL come from the environment.
import assert from 'node:assert/strict';
import path from 'node:path';

export const BASE_URL = process.env.BASE_URL;
export const API_KEY = process.env.API_KEY ?? 'none';
export const MODEL = process.env.MODEL ?? 'played';
export const MCP_URL = process.env.MCP_URL;
process.env.OPENAI_API_KEY = API_KEY;
process.env.OPENAI_BASE_URL = BASE_URL;
process.env.OPENAI_AGENTS_DISABLE_TRACING = '1';

export const PIXEL =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

/** A prompt that tells the model what to answer: see play.py. */
export const play = (text, ...steps) => `${text} <play>${steps.map((step) => JSON.stringify(step)).join(',')}</play>`;

export function has(text, part) {
  assert.ok(String(text).includes(part), `${JSON.stringify(part)} is not in ${JSON.stringify(text)}`);
}

/** Run one scenario: prints its verdict and ends the process. */
export async function scenario(body) {
  const name = path.basename(process.argv[1], '.mjs');
  const fail = (error) => {
    console.log(`FAIL ${name}: ${error?.stack ?? error}`);
    process.exit(1);
  };
  process.on('unhandledRejection', fail);
  process.on('uncaughtException', fail);
  try {
    await body();
  } catch (error) {
    fail(error);
  }
  console.log(`PASS ${name}`);
  process.exit(0);
}
