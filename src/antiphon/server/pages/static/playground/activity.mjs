// Activity: running and recent requests of the server, for keys with the scope admin; else the requests made on this page.

import { call } from "./api.mjs";
import { $, h, rate, seconds, short, when } from "./dom.mjs";
import { responses } from "./memory.mjs";

const EVERY = 1000; // milliseconds

export class Activity {
  #timer = 0;

  show() {
    this.#look();
    this.#timer = setInterval(() => document.hidden || this.#look(), EVERY);
  }

  hide() {
    clearInterval(this.#timer);
  }

  async #look() {
    try {
      this.#server(await call("GET", "/admin/requests"));
    } catch (error) {
      clearInterval(this.#timer);
      this.#own(error);
    }
  }

  #server({ running, data }) {
    $("activity").replaceChildren(
      h("h2", {}, "Running", h("span.note", {}, running.length ? ` ${running.length}` : "")),
      running.length ? sheet(running.map((one) => row({ ...one, tokens: one.events, exact: false }))) : h("p.note", {}, "No running requests."),
      h("h2", {}, "Recent", h("span.note", {}, data.length ? ` the last ${data.length}` : "")),
      data.length ? sheet(data.map((one) => row({ ...one, tokens: one.usage?.output_tokens, exact: true }))) : h("p.note", {}, "No completed requests since the server started."));
  }

  #own(error) {
    const mine = responses.list().map((one) => row({ ...one, started_at: one.created_at, time_to_first_token: one.first, duration: one.total, exact: true }));
    const why = error.status === 401 || error.status === 403 ? "The server's requests are visible with a key of the scope admin. Requests made on this page:" : `${error.message} Requests made on this page:`;
    $("activity").replaceChildren(h("h2", {}, "Recent"), h("p.note", {}, why), mine.length ? sheet(mine) : h("p.note", {}, "No requests yet."));
  }
}

const HEADS = ["Started", "Response", "Model", "Status", "First token", "Duration", "Input", "Cached", "Output", "Tokens/s"];

function sheet(rows) {
  return h("div.scroll", { tabIndex: 0, role: "group", "aria-label": "Requests" },
    h("table.sheet", {}, h("thead", {}, h("tr", {}, ...HEADS.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, ...rows)));
}

function row(one) {
  const first = one.time_to_first_token ?? null;
  const speaking = first === null ? 0 : one.duration - first;
  const state = [one.status.replace("_", " "), one.background ? "background" : "", one.error && `${one.error.status} ${one.error.code}`, one.ignored?.length ? `without ${one.ignored.join(", ")}` : ""].filter(Boolean).join(" · ");
  const tokens = one.tokens || null;
  const [cached, why] = fromCache(one);
  return h("tr", { className: one.status }, h("td", {}, h("time", {}, when(one.started_at))), h("td", {}, readable(one) ? h("a", { href: `#library/${one.id}` }, short(one.id)) : h("span", { title: one.stored === false ? "made with store: false" : "can be read when it has ended" }, short(one.id))),
    h("td", {}, one.model), h("td.state", {}, state), h("td.figure", {}, seconds(first)), h("td.figure", {}, seconds(one.duration ?? null)),
    h("td.figure", {}, one.usage ? String(one.usage.input_tokens) : "–"), h("td.figure", { title: why }, cached), h("td.figure", {}, tokens ? `${one.exact ? "" : "≈ "}${tokens}` : "–"), h("td.figure", {}, rate(tokens, speaking)));
}

// Whether the response can be read: it is stored, and has ended or runs in the background.
const readable = (one) => one.stored !== false && (one.background || !["in_progress", "queued"].includes(one.status));

// How much of the prompt was read from the backend's cache; a miss is marked, with its cause as the title.
function fromCache({ usage, cache }) {
  const [input, cached] = [usage?.input_tokens, usage?.input_tokens_details?.cached_tokens ?? 0];
  if (!input || (!cached && (!cache || cache === "unreported"))) return ["–", cache === "unreported" ? "The backend does not tell what it reads from its cache." : ""];
  const miss = cache && cache !== "hit" && cache !== "unreported";
  return [`${Math.round((100 * cached) / input)} %${miss ? " !" : ""}`, miss ? `Not read from the cache: ${cache.replaceAll("_", " ")}` : ""];
}
