// Budgets: limits per day and month of owners and keys, and how much of each is used.

import { call } from "../api.mjs";
import { h } from "../dom.mjs";
import { day, figure, more, table } from "./tables.mjs";

const COLUMNS = [
  ["Of", (row) => `${row.of} ${row.name || row.id}`],
  ["Owner", (row) => row.owner],
  ["Limit", (row) => row.limit + (row.model ? ` (${row.model})` : "")],
  ["Used", (row) => figure(row.used, row.unit === "cost" ? 4 : 0), true],
  ["%", (row) => h("span", { className: row.percent >= 100 ? "over" : row.percent >= 80 ? "near" : "" }, figure(row.percent, 1)), true],
  ["", (row) => h("meter", { min: 0, max: 100, high: 80, value: Math.min(row.percent, 100), "aria-label": `${row.percent} % used` })],
  ["Begins anew", (row) => day(row.resets_at)],
];

export async function showBudgets(place, after = "") {
  const page = await call("GET", `/admin/budgets${after && `?after=${encodeURIComponent(after)}`}`);
  const rows = page.data.sort((one, other) => other.percent - one.percent);
  place.replaceChildren(h("h2", {}, "Budgets"), h("p.note", {}, "Limits per day and month; soft ones refuse nothing."), table("Budgets", COLUMNS, rows, "No budgets are set."), more(page, (id) => showBudgets(place, id)) ?? "");
}
