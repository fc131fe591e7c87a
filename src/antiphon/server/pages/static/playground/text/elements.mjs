// Tokens of markdown-it → elements. No HTML is made of text, and only web addresses become links.

import { h } from "../dom.mjs";
import { code } from "./code.mjs";
import { formula } from "./math.mjs";

const MARK = /\ue000(\d{1,6})\ue001/; // a citation's number (citations.mjs)
const PICTURE = /^data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+$/;
const TASK = /^\[([ xX])\]\s+/;

export function elements(tokens) {
  const root = document.createDocumentFragment();
  const open = [root];
  for (const token of tokens) {
    const into = open.at(-1);
    if (token.nesting < 0) open.pop();
    else if (token.nesting > 0) open.push(opened(token, into));
    else into.append(...leaf(token));
  }
  return root;
}

// Elements that are opened

const OPENED = {
  heading_open: (token) => h(`h${Math.min(Number(token.tag[1]) + 2, 6)}`),
  link_open: (token) => link(token.attrGet("href")),
  ordered_list_open: (token) => h("ol", { start: token.attrGet("start") ?? undefined }),
  th_open: (token) => cell("th", token),
  td_open: (token) => cell("td", token),
  footnote_block_open: () => h("ol.notes", { "aria-label": "Footnotes" }),
  footnote_open: () => h("li"),
};

function opened(token, into) {
  if (token.hidden) return into; // a paragraph of a tight list
  const made = OPENED[token.type]?.(token) ?? h(token.tag || "span");
  if (token.type === "table_open") into.append(h("div.scroll", { tabIndex: 0, role: "group", "aria-label": "Table" }, made));
  else into.append(made);
  return made;
}

const cell = (tag, token) => h(tag, { className: /(right|center)/.exec(token.attrGet("style") ?? "")?.[1] });

// Web addresses learn nothing of this page. A file of a container (`sandbox:`) is among the footnotes.
function link(target) {
  if (/^(https?:\/\/|mailto:)/i.test(target ?? "")) return h("a", { href: target, target: "_blank", rel: "noopener noreferrer" });
  return h(target?.startsWith("sandbox:") ? "code" : "span", { title: target });
}

// Leaves

const LEAVES = {
  text: (token) => marks(token.content),
  text_special: (token) => [token.content],
  code_inline: (token) => [h("code", {}, token.content)],
  code_block: (token) => [code(token.content.replace(/\n$/, ""), "")],
  fence: (token) => [code(token.content.replace(/\n$/, ""), token.info.trim().split(/\s/)[0])],
  softbreak: () => [h("br")],
  hardbreak: () => [h("br")],
  hr: () => [h("hr")],
  inline: (token) => inline(token.children),
  image: (token) => [picture(token)],
  math: (token) => [formula(token.content, token.meta)],
  footnote_ref: (token) => [h("sup.cited", {}, String(token.meta.id + 1))],
  footnote_anchor: () => [],
};

const leaf = (token) => LEAVES[token.type]?.(token) ?? [token.content];

function inline(tokens) {
  const task = tokens[0]?.type === "text" ? TASK.exec(tokens[0].content) : null;
  if (!task) return [elements(tokens)];
  tokens[0].content = tokens[0].content.slice(task[0].length);
  const done = task[1] !== " ";
  return [h("input.task", { type: "checkbox", disabled: true, defaultChecked: done, "aria-label": done ? "done" : "to do" }), " ", elements(tokens)];
}

function marks(text) {
  return text.split(MARK).map((part, index) => (index % 2 ? h("sup.cited", {}, part) : part)).filter((part) => part !== "");
}

// A picture that came with the text; one of the web becomes a link: the page asks no other host for anything.
function picture(token) {
  const [source, text] = [token.attrGet("src") ?? "", token.content];
  if (PICTURE.test(source)) return h("img.picture", { src: source, alt: text });
  const made = link(source);
  made.append(text || source);
  return made;
}
