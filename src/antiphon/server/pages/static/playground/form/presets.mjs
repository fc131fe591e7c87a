// Presets: requests without input under a name, kept on this browser.

import { $, h } from "../dom.mjs";
import { withoutSecrets } from "./secrets.mjs";

const KEY = "antiphon-presets";
const MOST = 100;

const all = () => JSON.parse(localStorage.getItem(KEY) ?? "{}");

export const presets = {
  names: () => Object.keys(all()).sort(),
  get: (name) => (Object.hasOwn(all(), name) ? all()[name] : null),
  put(name, body) {
    const known = all();
    if (!Object.hasOwn(known, name) && Object.keys(known).length >= MOST) throw new Error(`There may be ${MOST} presets.`);
    localStorage.setItem(KEY, JSON.stringify(Object.fromEntries([...Object.entries(known), [name, withoutSecrets(body)]])));
  },
  remove(name) {
    localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(Object.entries(all()).filter(([one]) => one !== name))));
  },
};

// `read()` gives the form's request or null, `fill(body)` shows one.
export function setUpPresets(read, fill) {
  draw("");
  $("preset").addEventListener("change", () => {
    const body = presets.get($("preset").value);
    if (body) fill(body);
    $("preset-remove").hidden = !body;
  });
  $("preset-save").addEventListener("click", () => {
    $("preset-name").value = $("preset").value;
    $("preset-naming").hidden = false;
    $("preset-name").focus();
  });
  $("preset-name").addEventListener("keydown", (event) => {
    if (event.key === "Escape") $("preset-naming").hidden = true;
    if (event.key === "Enter") save(read);
  });
  $("preset-keep").addEventListener("click", () => save(read));
  $("preset-remove").addEventListener("click", () => {
    presets.remove($("preset").value);
    draw("");
  });
}

function save(read) {
  const name = $("preset-name").value.trim();
  const body = name && read();
  if (!body) return;
  presets.put(name, body);
  $("preset-naming").hidden = true;
  draw(name);
}

function draw(chosen) {
  $("preset").replaceChildren(h("option", { value: "" }, "none"), ...presets.names().map((name) => h("option", { value: name }, name)));
  $("preset").value = chosen;
  $("preset-remove").hidden = !$("preset").value;
}
