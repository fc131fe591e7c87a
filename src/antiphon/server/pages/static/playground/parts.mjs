// Parts of a message: text as it was typed, pictures, files, sound. Nothing is fetched but what came with the item.

import { h } from "./dom.mjs";
import { image } from "./hosted.mjs";

export const textOf = (content) => (typeof content === "string" ? content : (content ?? []).map(partText).join("\n\n"));

export function partText(part) {
  if (typeof part.text === "string") return part.text;
  if (typeof part.refusal === "string") return part.refusal;
  return `*${part.type}* ${nameOf(part)}`;
}

const nameOf = (part) => part.filename ?? part.file_id ?? part.file_url ?? (/^data:/.test(part.image_url ?? "") ? "" : (part.image_url ?? ""));

// Elements for what a person or a program has put into a message.
export function shownParts(content) {
  if (typeof content === "string") return [h("p.plain", {}, content)];
  const list = (content ?? []).map((part) => VIEWS[part.type]?.(part) ?? h("p.plain", {}, partText(part)));
  return list.filter(Boolean);
}

const VIEWS = {
  __proto__: null,
  input_image: (part) => image(part.image_url, "Attached image") ?? chip("image", nameOf(part)),
  input_file: (part) => chip("file", nameOf(part), part.file_data),
  input_audio: (part) => chip("audio", part.input_audio?.format ?? "", part.input_audio?.data),
};

// About how many bytes a base64 text stands for, in words.
export const size = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

function chip(kind, name, data = "") {
  return h("p.chip", {}, h("span.note", {}, kind), " ", name, data ? h("span.note", {}, ` ${size((data.length * 3) / 4)}`) : "");
}
