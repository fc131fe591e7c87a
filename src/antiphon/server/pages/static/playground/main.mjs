// The page: views by the address's fragment, the key, the models, the server's health.

import { Activity } from "./activity.mjs";
import { call, key, setKey } from "./api.mjs";
import { $ } from "./dom.mjs";
import { fillForm, readForm, setUpForm, showConversations, showModels } from "./form.mjs";
import { setUpPresets } from "./form/presets.mjs";
import { setUpShare } from "./form/share.mjs";
import { Library } from "./library.mjs";
import { Operator } from "./operator/operator.mjs";
import { Playground } from "./play.mjs";
import { Stores } from "./stores.mjs";
import { setUpPanes } from "./view/panes.mjs";
import { setUpPreferences } from "./view/preferences.mjs";

const VIEWS = ["play", "library", "stores", "activity", "operator"];
const narrow = matchMedia("(max-width: 60rem)");

setUpForm();
setUpPreferences();
const playground = new Playground();
const library = new Library(playground);
const activity = new Activity();
const stores = new Stores();
const operator = new Operator();

let came = true; // whether another view was shown before: lists are read anew then

function show() {
  const [wanted, ...rest] = location.hash.slice(1).split(/[/?]/);
  const view = VIEWS.includes(wanted) ? wanted : "play";
  for (const name of VIEWS) $(name).hidden = name !== view;
  for (const link of document.querySelectorAll(".top nav a")) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const name = document.querySelector(".top nav [aria-current]").textContent;
  document.title = view === "play" ? playground.title : `${name} · Antiphon`;
  activity.hide();
  stores.hide();
  if (view === "activity") activity.show();
  if (view === "stores") stores.show();
  if (view === "operator") operator.show(rest[0]);
  if (view === "library") library.show(came);
  came = view !== "library";
}

async function loadModels() {
  try {
    const { data } = await call("GET", "/v1/models");
    showModels(data.filter((model) => model.capabilities?.supports_responses !== false));
    $("key").removeAttribute("aria-invalid");
    lock(false);
  } catch (error) {
    if (error.status === 401) lock(true);
    else $("health").textContent = error.message;
  }
}

// Asks for a key in the middle of the page, where the server wants one and this one is none of its keys.
function lock(yes) {
  if (yes) $("key").setAttribute("aria-invalid", "true");
  $("locked").hidden = !yes;
  $("locked-note").textContent = key() ? "The server does not know this key." : "";
  document.body.classList.toggle("is-locked", yes);
  if (yes && document.activeElement !== $("key")) $("locked-key").focus();
}

function useKey(value) {
  setKey(value.trim());
  $("key").value = value.trim();
  $("locked-key").value = "";
  loadModels();
  if (!$("library").hidden) library.show(true);
}

async function lookAtHealth() {
  const answer = await fetch("ready").catch(() => null);
  const state = answer && (await answer.json().catch(() => null));
  const backends = state?.backends ?? [];
  const up = backends.filter((one) => one.up).length;
  const down = backends.map((one) => `${one.name} ${one.loading ? "loads its model" : "does not answer"}`).join(", ");
  const counted = up || !backends.length ? `${up} of ${backends.length} backend${backends.length === 1 ? "" : "s"} up` : `No backend is up: ${down}`;
  $("health").textContent = state ? counted : "The server does not answer.";
  $("health").title = $("health").textContent;
  $("health").className = up ? "up" : "down";
}

showConversations();
setUpPanes(narrow);
setUpPresets(readForm, fillForm);
const openLink = setUpShare(readForm, fillForm);
$("key").value = key();
$("key").addEventListener("change", () => useKey($("key").value));
$("locked").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey($("locked-key").value);
});
addEventListener("hashchange", show);
show();
await lookAtHealth();
await loadModels();
setInterval(() => document.hidden || lookAtHealth(), 15_000);
// The embedded model may still be loading: ask again.
setInterval(() => document.hidden || $("model").options.length || $("key").ariaInvalid === "true" || loadModels(), 3_000);
openLink();
if (!narrow.matches && !$("play").hidden) $("input").focus();
document.documentElement.dataset.ready = "yes";
await playground.resume();
