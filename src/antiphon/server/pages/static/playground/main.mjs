// The page: views by the address's fragment, the key, the models, the server's health.

import { Activity } from "./activity.mjs";
import { call, key, setKey } from "./api.mjs";
import { $ } from "./dom.mjs";
import { fillForm, readForm, setUpForm, showConversations, showModels } from "./form.mjs";
import { setUpPresets } from "./form/presets.mjs";
import { setUpShare } from "./form/share.mjs";
import { Library } from "./library.mjs";
import { Playground } from "./play.mjs";
import { Stores } from "./stores.mjs";
import { setUpPanes } from "./view/panes.mjs";
import { setUpPreferences } from "./view/preferences.mjs";

const VIEWS = ["play", "library", "stores", "activity"];
const narrow = matchMedia("(max-width: 60rem)");

setUpForm();
setUpPreferences();
const playground = new Playground();
const library = new Library(playground);
const activity = new Activity();
const stores = new Stores();

let came = true; // whether another view was shown before: lists are read anew then

function show() {
  const [wanted] = location.hash.slice(1).split(/[/?]/);
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
  if (view === "library") library.show(came);
  came = view !== "library";
}

async function loadModels() {
  try {
    const { data } = await call("GET", "/v1/models");
    showModels(data.filter((model) => model.capabilities?.supports_responses !== false));
    $("key").removeAttribute("aria-invalid");
  } catch (error) {
    if (error.status === 401) $("key").setAttribute("aria-invalid", "true");
    $("health").textContent = error.message;
  }
}

async function lookAtHealth() {
  const answer = await fetch("ready").catch(() => null);
  const state = answer && (await answer.json().catch(() => null));
  const backends = state?.backends ?? [];
  const up = backends.filter((one) => one.up).length;
  $("health").textContent = state ? `${up} of ${backends.length} backend${backends.length === 1 ? "" : "s"} up` : "the server does not answer";
  $("health").className = up ? "up" : "down";
}

showConversations();
setUpPanes(narrow);
setUpPresets(readForm, fillForm);
const openLink = setUpShare(readForm, fillForm);
$("key").value = key();
$("key").addEventListener("change", () => {
  setKey($("key").value.trim());
  loadModels();
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
