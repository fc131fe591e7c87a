// Two threads side by side: the same prompts, another model or other settings. The second's settings are the form's with differences.

import { $, h, pretty } from "../dom.mjs";
import { readForm } from "../form.mjs";
import { presets } from "../form/presets.mjs";
import { Lane } from "./lane.mjs";
import { Turn } from "./turn.mjs";

const KEY = "antiphon-compare";

export class Compare {
  lane = null;

  constructor(playground) {
    this.playground = playground;
    $("compare").addEventListener("click", () => (this.lane ? this.close() : this.open()));
    $("watch-lane").addEventListener("change", () => playground.watchLane($("watch-lane").value === "b" ? this.lane : playground.lane));
  }

  // Opens the second thread, with the turns of the first one.
  open(saved = null) {
    if (this.playground.running) return;
    this.#build(saved ?? {});
    this.#show(true);
    const { lane } = this.playground;
    if (!saved) this.lane.load(lane.turns.filter((turn) => turn.status !== "running").map((turn) => new Turn(structuredClone(turn.data()))));
    this.#keep();
  }

  close() {
    if (this.playground.running) return;
    this.lane.clear();
    this.lane = null;
    $("lane-b").remove();
    this.#show(false);
    sessionStorage.removeItem(KEY);
    this.playground.watchLane(this.playground.lane);
  }

  async restore() {
    const saved = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    if (!saved) return;
    this.open(saved);
    this.lane.restore();
  }

  #show(yes) {
    $("play").classList.toggle("comparing", yes);
    $("compare").setAttribute("aria-pressed", yes);
    $("watching").hidden = $("head-a").hidden = !yes;
    $("watch-lane").value = "a";
    $("conversation").disabled = yes; // both threads would write into it
  }

  #build({ model, differences = "" }) {
    this.model = h("select", { id: "model-b" }, ...[...$("model").options].map((one) => h("option", { value: one.value }, one.value)));
    this.model.value = model ?? $("model").value;
    this.differences = h("textarea", { id: "differences", rows: 2, spellcheck: false, value: differences, placeholder: '{"temperature": 1.2}', "aria-describedby": "differences-problem" });
    const names = presets.names();
    const preset = h("select", { id: "preset-b" }, h("option", { value: "" }, "…"), ...names.map((name) => h("option", {}, name)));
    preset.addEventListener("change", () => this.#usePreset(preset.value));
    for (const field of [this.model, this.differences]) field.addEventListener("change", () => this.#keep());
    const figures = h("p.figures", { role: "status", "aria-label": "Figures of B" });
    const thread = h("div.thread", { id: "thread-b", role: "log", "aria-label": "Thread B", tabIndex: 0 });
    $("lanes").append(h("section.lane", { id: "lane-b", "aria-label": "B" },
      h("header.lane-head", {}, h("strong", {}, "B"), h("label", { htmlFor: "model-b" }, "model"), this.model, names.length ? h("label", { htmlFor: "preset-b" }, "preset") : "", names.length ? preset : "",
        h("label.wide", { htmlFor: "differences" }, "Differences from the request form (JSON)"), this.differences, h("p.problem", { id: "differences-problem", role: "alert" }), figures),
      thread));
    this.lane = new Lane("b", thread, () => this.#settings(), this.playground);
    this.lane.figures = figures;
  }

  #usePreset(name) {
    const settings = presets.get(name);
    if (!settings) return;
    const { model, ...rest } = settings;
    if ([...this.model.options].some((one) => one.value === model)) this.model.value = model;
    this.differences.value = pretty(rest);
    this.#keep();
  }

  // The form's request with the differences; null takes a field away.
  #settings() {
    const body = readForm();
    const note = $("differences-problem");
    note.textContent = "";
    this.differences.removeAttribute("aria-invalid");
    try {
      const other = this.differences.value.trim() ? JSON.parse(this.differences.value) : {};
      if (typeof other !== "object" || other === null || Array.isArray(other)) throw new Error("expected an object");
      return body && Object.fromEntries(Object.entries({ ...body, model: this.model.value, ...other }).filter(([, value]) => value !== null));
    } catch (error) {
      note.textContent = `Invalid JSON: ${error.message}`;
      this.differences.setAttribute("aria-invalid", "true");
      this.differences.focus();
      return null;
    }
  }

  #keep() {
    sessionStorage.setItem(KEY, JSON.stringify({ model: this.model.value, differences: this.differences.value || "" }));
  }
}
