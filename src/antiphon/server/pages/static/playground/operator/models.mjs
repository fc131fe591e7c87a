// Backends and models with their state; reload of the settings.

import { call } from "../api.mjs";
import { h } from "../dom.mjs";
import { figure, table } from "./tables.mjs";

const BACKENDS = [
  ["Backend", (one) => one.name],
  ["State", (one) => h("span", { className: one.up ? "active" : "over" }, one.up ? "up" : one.loading ? "loading" : "down")],
  ["API", (one) => [one.api, one.profile].filter(Boolean).join(" · ")],
  ["Address", (one) => one.address || "–"],
  ["Models", (one) => figure(one.models), true],
  ["Running", (one) => figure(one.outstanding) + (one.max_concurrent ? ` of ${one.max_concurrent}` : ""), true],
  ["Waiting", (one) => figure(one.waiting), true],
  ["Calls", (one) => figure(one.calls), true],
  ["Failures", (one) => figure(one.failures), true],
  ["Last error", (one) => one.error || "–"],
];
const MODELS = [
  ["Model", (one) => [one.id, ...one.aliases].join(", ")],
  ["Type", (one) => one.type.replaceAll("_", " ")],
  ["Backends", (one) => one.endpoints.map((end) => (end.name === one.id ? end.backend : `${end.backend} (${end.name})`)).join(", ") || "none"],
  ["From", (one) => (one.configured ? "settings" : "backend")],
  ["Context", (one) => (one.context_length ? figure(one.context_length) : "–"), true],
  ["Price in", (one) => figure(one.prices.input, 2), true],
  ["Price out", (one) => figure(one.prices.output, 2), true],
];

export async function showModels(place, told = "") {
  const { backends, data } = await call("GET", "/admin/models");
  const reload = async () => {
    try {
      const { status } = await call("POST", "/admin/reload", {});
      await showModels(place, status === "reloaded" ? "The settings are in effect." : "The workers read the settings again.");
    } catch (error) {
      await showModels(place, error.message);
    }
  };
  place.replaceChildren(h("div.actions", {}, h("button.quiet", { type: "button", id: "reload", onclick: reload }, "Reload settings"), h("span.note", { role: "status" }, told)),
    h("h2", {}, "Backends"), table("Backends", BACKENDS, backends, "No backends."), h("h2", {}, "Models"), table("Models", MODELS, data, "No models."));
}
