// Panes of the playground: their widths by dragging or arrow keys, and whether they are open; kept on this browser.

import { $ } from "../dom.mjs";

const KEY = "antiphon-panes";
const BOUNDS = { settings: [200, 560], events: [220, 900] }; // pixels
const STEP = 24;

const state = { settings: 304, events: 400, closed: [], ...JSON.parse(localStorage.getItem(KEY) ?? "{}") };

export function setUpPanes(narrow) {
  for (const name of Object.keys(BOUNDS)) {
    divider(name);
    $(`toggle-${name}`).addEventListener("click", () => toggle(name));
  }
  narrow.addEventListener("change", () => lay(narrow.matches));
  lay(narrow.matches);
}

function lay(narrow) {
  for (const name of Object.keys(BOUNDS)) {
    $(name).open = !narrow;
    const closed = !narrow && state.closed.includes(name);
    $("play").classList.toggle(`no-${name}`, closed);
    $(`toggle-${name}`).setAttribute("aria-expanded", !closed);
    $("play").style.setProperty(`--${name}`, `${state[name]}px`);
    $(`divide-${name}`).setAttribute("aria-valuenow", state[name]);
  }
}

function toggle(name) {
  state.closed = state.closed.includes(name) ? state.closed.filter((one) => one !== name) : [...state.closed, name];
  keep();
}

function keep() {
  localStorage.setItem(KEY, JSON.stringify(state));
  lay(false);
}

function resize(name, width) {
  const [least, most] = BOUNDS[name];
  state[name] = Math.round(Math.min(most, Math.max(least, width)));
  keep();
}

function divider(name) {
  const bar = $(`divide-${name}`);
  const [least, most] = BOUNDS[name];
  const towards = name === "settings" ? 1 : -1; // to which side it grows
  bar.setAttribute("aria-valuemin", least);
  bar.setAttribute("aria-valuemax", most);
  bar.addEventListener("keydown", (event) => {
    const side = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (side) resize(name, state[name] + side * towards * STEP);
  });
  bar.addEventListener("pointerdown", (event) => {
    const [from, width] = [event.clientX, state[name]];
    bar.setPointerCapture(event.pointerId);
    bar.onpointermove = (moved) => resize(name, width + (moved.clientX - from) * towards);
    bar.onpointerup = () => (bar.onpointermove = null);
  });
}
