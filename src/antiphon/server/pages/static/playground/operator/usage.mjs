// Usage: a chart by day, a table of sums; by owner, key, model or hosted tool.

import { call, download } from "../api.mjs";
import { h } from "../dom.mjs";
import { bars, COLOURS } from "./chart.mjs";
import { figure, table } from "./tables.mjs";

const GROUPS = ["owner", "key", "model", "tool"];
const MEASURES = { cost: ["Cost", 4], tokens: ["Tokens", 0], requests: ["Requests", 0], calls: ["Calls of tools", 0] };
const SPANS = [7, 30, 90];
const MS = 86_400_000;

const wanted = { by: "owner", what: "", days: 30 }; // what: cost, where there is any

const measure = (row) => (wanted.what === "tokens" ? row.input_tokens + row.output_tokens : row[wanted.what]);
const told = (value) => figure(value, wanted.what === "cost" && value < 100 ? 4 : 0);
const date = (time) => new Date(time).toISOString().slice(0, 10);

export async function showUsage(place) {
  const today = Date.now();
  const days = Array.from({ length: wanted.days }, (_, at) => date(today - (wanted.days - 1 - at) * MS));
  const span = `start=${days[0]}&end=${days.at(-1)}`;
  const { data } = await call("GET", `/admin/usage?group_by=day,${wanted.by}&${span}`);
  wanted.what ||= data.some((row) => row.cost) ? "cost" : "tokens";
  const again = () => showUsage(place).catch((error) => place.append(h("p.note", { role: "alert" }, error.message)));
  const csv = h("button.quiet", { type: "button", onclick: () => download(`/admin/usage?group_by=day,${wanted.by}&${span}&format=csv`, "usage.csv") }, "CSV");
  const sums = totals(data);
  const top = sums.slice(0, COLOURS - 1).map((one) => one.name);
  const rest = sums.length > top.length ? ["other"] : [];
  const series = [...top, ...rest].map((name) => ({ name, values: days.map((day) => sumOf(data.filter((row) => row.day === day && (name === "other" && rest.length && !top.includes(row[wanted.by]) || row[wanted.by] === name)))) }));
  const title = `${MEASURES[wanted.what][0]} per day by ${wanted.by}`;
  place.replaceChildren(
    h("div.actions", {}, choice("by", "By", GROUPS, again), choice("what", "Show", Object.keys(MEASURES), again, (one) => MEASURES[one][0]), choice("days", "Days", SPANS, again), csv),
    h("h2", {}, title),
    sums.some((one) => measure(one)) ? h("figure.usage", {}, bars(`${title}; the table below has the numbers`, days, series, told, place.clientWidth), legend(series)) : h("p.note", {}, wanted.what === "cost" && data.length ? "Nothing has cost anything: prices are settings of models (price_input, price_output)." : "Nothing was used."),
    table(`Usage by ${wanted.by}`, columns(), sums, "No usage in this time."),
    data.length ? byDay(days, data) : "");
}

function sumOf(rows) {
  return rows.reduce((sum, row) => sum + measure(row), 0);
}

function totals(data) {
  const found = new Map();
  for (const row of data) {
    const known = found.get(row[wanted.by]) ?? { name: row[wanted.by], requests: 0, failures: 0, input_tokens: 0, cached_tokens: 0, output_tokens: 0, calls: 0, cost: 0 };
    for (const name of Object.keys(known)) if (name !== "name") known[name] += row[name];
    found.set(row[wanted.by], known);
  }
  return [...found.values()].sort((one, other) => measure(other) - measure(one));
}

function columns() {
  const numbers = [["Requests", "requests"], ["Failed", "failures"], ["Input", "input_tokens"], ["Cached", "cached_tokens"], ["Output", "output_tokens"], ["Tool calls", "calls"]];
  return [[wanted.by, (row) => row.name || "–"], ...numbers.map(([title, name]) => [title, (row) => figure(row[name]), true]), ["Cost", (row) => figure(row.cost, 4), true]];
}

function byDay(days, data) {
  const rows = days.map((day) => ({ day, value: sumOf(data.filter((row) => row.day === day)) })).filter((row) => row.value);
  return h("details", {}, h("summary", {}, "By day"), table(`${MEASURES[wanted.what][0]} by day`, [["Day", (row) => row.day], [MEASURES[wanted.what][0], (row) => told(row.value), true]], rows, "Nothing."));
}

function legend(series) {
  return h("figcaption", {}, ...series.map((one, index) => h("span", {}, h(`i.series-${index % COLOURS}`, { "aria-hidden": "true" }), one.name || "–")));
}

function choice(name, title, values, changed, label = String) {
  const select = h("select", { id: `usage-${name}`, onchange: () => {
    wanted[name] = name === "days" ? Number(select.value) : select.value;
    changed();
  } }, ...values.map((value) => h("option", { value: String(value), selected: wanted[name] === value }, label(value))));
  return h("label", {}, `${title} `, select);
}
