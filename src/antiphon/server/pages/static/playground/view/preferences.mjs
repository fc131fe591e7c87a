// What a person prefers on this browser: theme, and whether Enter sends.

import { $ } from "../dom.mjs";

const KEY = "antiphon-preferences";
const THEMES = ["", "light", "dark"]; // "": as the system

export const preferences = { theme: "", enter: true, ...read() };

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}");
  } catch {
    return {};
  }
}

function apply() {
  const { theme } = preferences;
  if (theme && THEMES.includes(theme)) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  dispatchEvent(new Event("theme"));
  dispatchEvent(new Event("preferences"));
}

export function setUpPreferences() {
  $("theme").value = preferences.theme;
  $("enter").checked = preferences.enter;
  for (const [name, field] of [["theme", "value"], ["enter", "checked"]]) {
    $(name).addEventListener("change", () => {
      preferences[name] = $(name)[field];
      localStorage.setItem(KEY, JSON.stringify(preferences));
      apply();
    });
  }
  apply();
}
