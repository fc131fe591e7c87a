// A little Markdown, as elements: paragraphs, headings, lists, tables, quotes, code, emphasis, links. No HTML, no images.

import { copy, h } from "./dom.mjs";

const FENCE = /^\s*(```+|~~~+)\s*([\w+#.-]*)/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)/;
const HEADING = /^(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^\s*([-*_])(\s*\1){2,}\s*$/;
const TABLE = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
const INLINE = /\ue000(\d{1,6})\ue001|(`+)(.+?)\2(?!`)|\*\*(?=\S)(.+?)\*\*|(?<![\w*])[*_](?=\S)(.+?)[*_](?![\w*])|!?\[([^\]]*)\]\(([^\s)]+)[^)]*\)|(https?:\/\/[^\s<>)\]]+)/;

export function markdown(text) {
  const lines = text.replaceAll("\r\n", "\n").split("\n");
  const made = document.createDocumentFragment();
  for (let at = 0; at < lines.length; ) at = block(lines, at, made);
  return made;
}

// Appends one block to `made` and returns the line behind it.
function block(lines, at, made) {
  const line = lines[at];
  if (!line.trim()) return at + 1;
  if (FENCE.test(line)) return fence(lines, at, made);
  const heading = HEADING.exec(line);
  if (heading) {
    made.append(h(`h${Math.min(heading[1].length + 2, 6)}`, {}, ...inline(heading[2])));
    return at + 1;
  }
  if (RULE.test(line)) {
    made.append(h("hr"));
    return at + 1;
  }
  if (ITEM.test(line)) return list(lines, at, made);
  if (line.trimStart().startsWith(">")) return quote(lines, at, made);
  if (line.includes("|") && TABLE.test(lines[at + 1] ?? "")) return table(lines, at, made);
  return paragraph(lines, at, made);
}

function fence(lines, at, made) {
  const [, mark, language] = FENCE.exec(lines[at]);
  let end = at + 1;
  while (end < lines.length && !lines[end].trimStart().startsWith(mark)) end += 1;
  made.append(code(lines.slice(at + 1, end).join("\n"), language));
  return end + 1;
}

export function code(text, language = "") {
  const button = h("button.link", { type: "button", onclick: () => copy(text, button) }, "copy");
  return h("figure.code", {}, h("figcaption", {}, language || "text", button), h("pre", { tabIndex: 0, "aria-label": language || "text" }, text));
}

function list(lines, at, made) {
  const [, indent, mark] = ITEM.exec(lines[at]);
  const ordered = /\d/.test(mark);
  const items = [];
  for (; at < lines.length; at += 1) {
    const found = ITEM.exec(lines[at]);
    if (found && found[1].length <= indent.length + 1) {
      if (/\d/.test(found[2]) !== ordered) break;
      items.push([found[3]]);
    } else if (items.length && (found || /^\s{2,}\S/.test(lines[at]))) items.at(-1).push(lines[at].replace(/^ {1,4}/, ""));
    else if (lines[at].trim() || !ITEM.test(lines[at + 1] ?? "")) break;
  }
  const start = ordered ? Number.parseInt(mark, 10) : undefined;
  made.append(h(ordered ? "ol" : "ul", { start }, ...items.map(([first, ...rest]) =>
    h("li", {}, ...inline(first), ...(rest.length ? [markdown(rest.join("\n"))] : [])))));
  return at;
}

function quote(lines, at, made) {
  let end = at;
  while (end < lines.length && lines[end].trimStart().startsWith(">")) end += 1;
  made.append(h("blockquote", {}, markdown(lines.slice(at, end).map((line) => line.replace(/^\s*> ?/, "")).join("\n"))));
  return end;
}

const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => inline(cell.trim()));

function table(lines, at, made) {
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|")) end += 1;
  const row = (line, tag) => h("tr", {}, ...cells(line).map((cell) => h(tag, {}, ...cell)));
  const body = lines.slice(at + 2, end).map((line) => row(line, "td"));
  made.append(h("div.scroll", { tabIndex: 0, role: "group", "aria-label": "Table" },
    h("table", {}, h("thead", {}, row(lines[at], "th")), h("tbody", {}, ...body))));
  return end;
}

function paragraph(lines, at, made) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && ![FENCE, ITEM, HEADING, RULE].some((one) => one.test(lines[end]))) end += 1;
  const parts = lines.slice(at, end).flatMap((line, index) => (index ? [h("br"), ...inline(line)] : inline(line)));
  made.append(h("p", {}, ...parts));
  return end;
}

// Text with emphasis, code and links: a list of strings and elements.
function inline(text) {
  const parts = [];
  for (let found = INLINE.exec(text); found; found = INLINE.exec(text)) {
    parts.push(text.slice(0, found.index), styled(found));
    text = text.slice(found.index + found[0].length);
  }
  return [...parts, text].filter((part) => part !== "");
}

function styled([whole, mark, , codeText, strong, emphasis, label, target, address]) {
  if (mark !== undefined) return h("sup.cited", {}, mark); // a footnote's number (citations.mjs)
  if (codeText !== undefined) return h("code", {}, codeText);
  if (strong !== undefined) return h("strong", {}, ...inline(strong));
  if (emphasis !== undefined) return h("em", {}, ...inline(emphasis));
  if (target?.startsWith("sandbox:")) return h("code", {}, label || target); // a file of a container: it is among the footnotes
  return link(target ?? address, label || target || address) ?? whole;
}

// Only web addresses become links, and they learn nothing of this page.
function link(target, label) {
  if (!/^https?:\/\//.test(target)) return null;
  return h("a", { href: target, target: "_blank", rel: "noopener noreferrer" }, label);
}
