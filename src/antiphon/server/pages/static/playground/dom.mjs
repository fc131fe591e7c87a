// Elements without HTML: texts of models and servers become text nodes only.

export const $ = (id) => document.getElementById(id);

// h("a.note", { href: "#x", onclick: f }, "text", child, null)
export function h(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag);
  if (classes.length) made.className = classes.join(" ");
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (key in made && !key.startsWith("aria")) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

export const pretty = (value) => JSON.stringify(value, null, 2);

// JSON text indented, or the text itself if it is not JSON.
export function laidOut(text) {
  try {
    return pretty(JSON.parse(text));
  } catch {
    return text;
  }
}

export const short = (id) => (id.length > 18 ? `${id.slice(0, 9)}…${id.slice(-6)}` : id);

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0.0005) return "< 1 ms";
  return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(value < 10 ? 2 : 1)} s`;
}

export function rate(tokens, time) {
  if (!tokens || !(time > 0.001)) return "–";
  const value = tokens / time;
  return value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString("en");
}

export function when(unix) {
  const date = new Date(unix * 1000);
  const today = date.toDateString() === new Date().toDateString();
  return date.toLocaleString([], today ? { timeStyle: "medium" } : { dateStyle: "medium", timeStyle: "short" });
}

export async function copy(text, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Copying failed: please copy by hand"; // clipboards are for secure origins only
  }
  setTimeout(() => (button.textContent = label), 1500);
}
