// Tables of the operator's view.

import { h } from "../dom.mjs";

// columns: [[title, cell of a row, is a figure]]
export function table(label, columns, rows, none) {
  if (!rows.length) return h("p.note", {}, none);
  const heads = columns.map(([title, , figure]) => h(figure ? "th.figure" : "th", { scope: "col" }, title));
  const lines = rows.map((row) => h("tr", {}, ...columns.map(([, cell, figure]) => h(figure ? "td.figure" : "td", {}, cell(row)))));
  return h("div.scroll", { tabIndex: 0, role: "group", "aria-label": label },
    h("table.plain-sheet", {}, h("caption.unseen", {}, label), h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...lines)));
}

export const figure = (value, digits = 0) => value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits });

export function day(unix) {
  return unix ? new Date(unix * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : "–";
}

export function more(page, load) {
  return page.has_more ? h("p", {}, h("button.quiet", { type: "button", onclick: () => load(page.last_id) }, "Load older")) : null;
}
