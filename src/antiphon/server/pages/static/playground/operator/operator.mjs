// The operator's view: usage, budgets, keys, models, the audit log; for keys with the scope admin.

import { $, h } from "../dom.mjs";
import { showAudit } from "./audit.mjs";
import { showBudgets } from "./budgets.mjs";
import { showKeys } from "./keys.mjs";
import { showModels } from "./models.mjs";
import { showUsage } from "./usage.mjs";

const PARTS = [["usage", "Usage", showUsage], ["budgets", "Budgets", showBudgets], ["keys", "Keys", showKeys], ["models", "Models", showModels], ["audit", "Audit log", showAudit]];

export class Operator {
  #shown = 0;

  async show(wanted) {
    const [name, , draw] = PARTS.find(([one]) => one === wanted) ?? PARTS[0];
    const links = PARTS.map(([one, title]) => h("a", { href: `#operator/${one}`, "aria-current": one === name ? "page" : null }, title));
    const place = h("div.part", {}, h("p.note", { role: "status" }, "Loading …"));
    const mine = ++this.#shown;
    $("operator").replaceChildren(h("nav.parts", { "aria-label": "Operator" }, ...links), place);
    try {
      await draw(place);
    } catch (error) {
      if (mine === this.#shown) place.replaceChildren(h("p.note", { role: "alert" }, reason(error)));
    }
  }
}

function reason(error) {
  return error.status === 401 || error.status === 403 ? "This needs a key with the scope admin." : error.message;
}
