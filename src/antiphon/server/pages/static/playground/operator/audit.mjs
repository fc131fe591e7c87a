// The audit log, newest first.

import { call, id } from "../api.mjs";
import { h } from "../dom.mjs";
import { day, more, table } from "./tables.mjs";

const COLUMNS = [
  ["Time", (one) => day(one.at)],
  ["Action", (one) => one.action],
  ["By", (one) => one.actor],
  ["Subject", (one) => one.subject],
  ["Address", (one) => one.address || "–"],
  ["Details", (one) => (Object.keys(one.details).length ? JSON.stringify(one.details) : "")],
];

export async function showAudit(place, after = "") {
  const page = await call("GET", `/admin/audit?limit=100${after && `&after=${id(after)}`}`);
  place.replaceChildren(h("h2", {}, "Audit log"), table("Audit log", COLUMNS, page.data, "No entries."), more(page, (last) => showAudit(place, last)) ?? "");
}
