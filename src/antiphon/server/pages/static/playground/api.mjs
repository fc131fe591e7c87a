// API client: JSON and streams, errors in one shape; the key is kept in this tab's session storage only.

import { Frames } from "./sse.mjs";

const KEY = "antiphon-key";

// The page answers below /v1/, too: the address that clients get.
export const root = new URL(".", document.baseURI).href.replace(/\/(v1\/)?$/, "");

export const key = () => sessionStorage.getItem(KEY) ?? "";

export const setKey = (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY));

export class ApiError extends Error {
  // `body` is the answer as it came.
  constructor(status, error, requestId, body = null) {
    super(error.message ?? `HTTP ${status}`);
    Object.assign(this, { status, code: error.code ?? "", param: error.param ?? "", requestId, body });
  }
}

async function send(method, path, { body, signal, headers = {} } = {}) {
  const all = { ...headers };
  const form = body instanceof FormData;
  if (key()) all.authorization = `Bearer ${key()}`;
  if (body !== undefined && !form) all["content-type"] = "application/json";
  const answer = await fetch(root + path, { method, headers: all, signal, body: body === undefined || form ? body : JSON.stringify(body) });
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw new ApiError(answer.status, problem.error ?? {}, answer.headers.get("x-request-id"), problem);
}

export const call = async (method, path, body) => (await send(method, path, { body })).json();

// Saves what a path gives as a file: with the key, which a link could not send.
export async function download(path, name) {
  const address = URL.createObjectURL(await (await send("GET", path)).blob());
  Object.assign(document.createElement("a"), { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

export const id = encodeURIComponent;

// Calls `take` with each event ({ event }) and each Delta of the backend ({ said }) as it arrives.
export async function stream(method, path, options, take) {
  const answer = await send(method, path, options);
  options.head?.(answer.headers);
  const frames = new Frames();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) frames.feed(part.value).forEach(take);
}
