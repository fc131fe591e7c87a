// A link that carries the form's request in its fragment, which no server is sent; never a key or a credential of a tool.

import { $, copy } from "../dom.mjs";
import { withoutSecrets } from "./secrets.mjs";

const MOST = 16_000; // characters of a fragment: longer ones are cut by programs that pass links on
const START = "#play/";

const packed = (text) => btoa(Array.from(new TextEncoder().encode(text), (one) => String.fromCharCode(one)).join("")).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

const unpacked = (text) => new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0)));

// The request of a link, or null where the address carries none that can be read.
export function shared(hash) {
  if (!hash.startsWith(START) || hash.length > MOST) return null;
  try {
    const body = JSON.parse(unpacked(hash.slice(START.length)));
    return body !== null && typeof body === "object" && !Array.isArray(body) ? withoutSecrets(body) : null;
  } catch {
    return null;
  }
}

export function setUpShare(read, fill) {
  $("share").addEventListener("click", () => {
    const body = read();
    if (!body) return;
    const fragment = START + packed(JSON.stringify(withoutSecrets(body)));
    $("share-note").textContent = fragment.length > MOST ? "These settings are too long for a link: save them as a preset, or share the request as code." : "";
    if (fragment.length <= MOST) copy(location.href.split("#")[0] + fragment, $("share"));
  });
  const open = () => {
    const body = shared(location.hash);
    if (!body) return;
    const before = read();
    fill(body);
    history.replaceState(null, "", "#play");
    $("share-note").textContent = "These settings come from a link; nothing was sent. ";
    const undo = Object.assign(document.createElement("button"), { type: "button", className: "link", textContent: "Undo" });
    undo.addEventListener("click", () => {
      fill(before ?? {});
      $("share-note").textContent = "";
    });
    $("share-note").append(undo);
  };
  addEventListener("hashchange", open);
  return open;
}
