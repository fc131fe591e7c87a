// Whose responses and conversations this key sees: those of all owners with the scope admin, else its own. Asked once for each key.

import { ApiError, call, id, key } from "../api.mjs";

let known = null; // [key, promise of the paths]

const OPERATORS = { list: "/admin/responses", talks: "/admin/conversations", one: (name) => `/admin/responses/${id(name)}`, talk: (name) => `/admin/conversations/${id(name)}`, all: true };
const OWN = { list: "/v1/responses", talks: "/v1/conversations", one: (name) => `/v1/responses/${id(name)}/log`, talk: (name) => `/v1/conversations/${id(name)}`, all: false };

export function access() {
  if (known?.[0] !== key()) known = [key(), asked()];
  return known[1];
}

async function asked() {
  try {
    await call("GET", "/admin/responses?limit=1");
    return OPERATORS;
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) return OWN;
    known = null;
    throw error;
  }
}
