// Keys of the store: made, rotated, revoked. A secret is shown once, and kept nowhere.

import { call, id } from "../api.mjs";
import { copy, h } from "../dom.mjs";
import { day, more, table } from "./tables.mjs";

export async function showKeys(place, after = "", told = "") {
  const page = await call("GET", `/admin/keys?limit=50${after && `&after=${id(after)}`}`);
  const again = (message) => showKeys(place, "", message);
  place.replaceChildren(h("h2", {}, "Keys"), told || "", form(again), table("Keys", columns(again), page.data, "No keys in the store. Without any key everybody on this machine may do everything."), more(page, (last) => showKeys(place, last)) ?? "");
}

function columns(again) {
  return [
    ["Key", (key) => h("span", { title: key.id }, `${key.name || key.id} …${key.hint}`)],
    ["Owner", (key) => key.owner],
    ["State", (key) => h("span", { className: key.state }, key.state)],
    ["Scopes", (key) => key.scopes.join(", ")],
    ["Limits", (key) => key.limits.join(", ") || "none"],
    ["Created", (key) => day(key.created_at)],
    ["Last used", (key) => (key.last_used_at ? day(key.last_used_at) : "never")],
    ["", (key) => (key.state === "active" ? actions(key, again) : "")],
  ];
}

function actions(key, again) {
  const named = key.name || key.id;
  return h("span.actions", {},
    button("Rotate", `Rotate ${named}`, async () => again(secret(await call("POST", `/admin/keys/${id(key.id)}/rotate`, {}), "The old key stays valid for 24 hours. "))),
    sure(h("button.link.danger", { type: "button", "aria-label": `Revoke ${named}` }, "Revoke"), async () => {
      await call("DELETE", `/admin/keys/${id(key.id)}`);
      again(h("p.note", { role: "status" }, `${named} is revoked.`));
    }));
}

function button(label, title, act) {
  return h("button.link", { type: "button", "aria-label": title, onclick: (event) => act().catch((error) => failed(event.target, error)) }, label);
}

// Asks by its own label; the second click does it.
function sure(made, act) {
  const label = made.textContent;
  made.onclick = () => {
    if (made.textContent === label) {
      made.textContent = "Really revoke?";
      setTimeout(() => (made.textContent = label), 4000);
    } else act().catch((error) => failed(made, error));
  };
  return made;
}

function failed(near, error) {
  near.parentElement.append(h("span.problem", { role: "alert" }, error.message));
}

function secret(made, more = "") {
  const shown = h("code", { id: "new-secret" }, made.key);
  const button = h("button.quiet", { type: "button", onclick: () => copy(made.key, button) }, "Copy");
  return h("div.secret", { role: "status" }, h("p", {}, `${more}The key of ${made.owner} is shown only this once:`), h("p", {}, shown, " ", button));
}

const words = (text) => text.split(/[,\n]/).map((one) => one.trim()).filter(Boolean);

function form(again) {
  const fields = {
    name: h("input", { id: "key-name", maxLength: 256, autocomplete: "off" }),
    owner: h("input", { id: "key-owner", maxLength: 256, autocomplete: "off", placeholder: "an owner of its own" }),
    scopes: h("input", { id: "key-scopes", autocomplete: "off", placeholder: "responses, chat, tools" }),
    models: h("input", { id: "key-models", autocomplete: "off", placeholder: "all" }),
    limits: h("input", { id: "key-limits", autocomplete: "off", placeholder: "60 requests/min, 20 cost/month" }),
    days: h("input", { id: "key-days", type: "number", min: 1, max: 3650, placeholder: "never" }),
  };
  const titles = { name: "Name", owner: "Owner", scopes: "Scopes", models: "Models", limits: "Limits", days: "Expires in days" };
  const problem = h("p.problem", { role: "alert" });
  const submit = async (event) => {
    event.preventDefault();
    const body = { name: fields.name.value, owner: fields.owner.value, models: words(fields.models.value), limits: words(fields.limits.value) };
    if (fields.scopes.value.trim()) body.scopes = words(fields.scopes.value);
    if (fields.days.value) body.expires_at = Math.floor(Date.now() / 1000) + 86_400 * Number(fields.days.value);
    try {
      await again(secret(await call("POST", "/admin/keys", body)));
    } catch (error) {
      problem.textContent = error.message;
    }
  };
  const rows = Object.entries(fields).flatMap(([name, field]) => [h("label", { htmlFor: field.id }, titles[name]), field]);
  return h("details", {}, h("summary", {}, "Create a key"), h("form.store-form", { id: "key-form", onsubmit: submit }, ...rows, h("button", { id: "key-add" }, "Create"), problem));
}
