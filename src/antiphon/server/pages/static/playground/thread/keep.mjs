// Threads kept in this tab's session storage, so that a reload shows them again.

const MOST = 2_000_000; // characters of one thread
const KEY = "antiphon-thread-";

// Keeps turns; tells whether they fit.
export function keep(name, turns) {
  const text = turns.length ? JSON.stringify(turns.map((turn) => turn.data())) : "";
  try {
    if (text && text.length <= MOST) sessionStorage.setItem(KEY + name, text);
    else sessionStorage.removeItem(KEY + name);
  } catch {
    return false; // the browser's own limit
  }
  return text.length <= MOST;
}

export function kept(name) {
  try {
    return JSON.parse(sessionStorage.getItem(KEY + name) ?? "[]");
  } catch {
    return [];
  }
}
