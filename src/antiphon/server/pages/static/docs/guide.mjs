// A page of the guide: its Markdown, which the server has sent inside, becomes HTML; search reads all pages once.

import "./markdown-it.min.mjs";

const text = document.getElementById("text");
const path = text.dataset.path;
const here = new URL(document.baseURI);
const trusted = window.trustedTypes?.createPolicy("guide", { createHTML: (html) => html }) ?? { createHTML: (html) => html };
const pages = new Set([...document.querySelectorAll("#contents a")].map((link) => link.getAttribute("href")));
pages.add("docs/guide/index");

// The ids of headings, as the site makes them.
function slug(words, seen) {
  const plain = words.normalize("NFKD").replace(/[^\w\s-]/g, "").trim().toLowerCase().replace(/[-\s]+/g, "-");
  let id = plain;
  for (let count = 1; seen.has(id); count++) id = `${plain}_${count}`;
  seen.add(id);
  return id;
}

// "../keys.md#limits" on the page "tutorials/team.md" → "docs/guide/keys#limits"; null for what is no page here.
function target(href) {
  if (/^[a-z]+:/.test(href)) return href;
  const [file, anchor] = href.split("#");
  const full = file ? new URL(file, `http://x/docs/guide/${path}`).pathname.slice(1) : `docs/guide/${path}`;
  const page = full.replace(/\.md$/, "");
  if (page === full || !pages.has(page)) return null;
  return (page === "docs/guide/index" ? "docs/guide" : page) + (anchor ? `#${anchor}` : "");
}

// Without `html` no text of a page becomes an element.
const markdown = globalThis.markdownit({ html: false });
markdown.core.ruler.push("guide", (state) => {
  const seen = new Set();
  state.tokens.forEach((token, index) => {
    if (token.type === "heading_open") token.attrSet("id", slug(state.tokens[index + 1].children.map((one) => one.content).join(""), seen));
    for (const inner of token.children ?? []) {
      if (inner.type === "link_open") {
        const href = target(inner.attrGet("href"));
        if (href === null) inner.attrs = [];
        else inner.attrSet("href", href);
      } else if (inner.type === "image") {
        Object.assign(inner, { type: "text", content: inner.content ? `[${inner.content}]` : "", children: null });
      }
    }
  });
});

text.innerHTML = trusted.createHTML(markdown.render(text.textContent));
for (const pre of text.querySelectorAll("pre")) {
  const copy = Object.assign(document.createElement("button"), { type: "button", className: "copy", textContent: "Copy" });
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(pre.querySelector("code").textContent);
    copy.textContent = "Copied";
  });
  const frame = Object.assign(document.createElement("div"), { className: "code" });
  pre.tabIndex = 0;
  pre.replaceWith(frame);
  frame.append(pre, copy);
}
for (const table of text.querySelectorAll("table")) {
  const frame = Object.assign(document.createElement("div"), { className: "wide", tabIndex: 0 });
  table.replaceWith(frame);
  frame.append(table);
}
if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();

// Search

let sections;

async function load() {
  const answer = await fetch(new URL("llms-full.txt", here));
  const parts = (await answer.text()).split(/^Source: docs\/guide\/(\S+)$/m).slice(1);
  sections = [];
  for (let index = 0; index < parts.length; index += 2) {
    if (parts[index] === "index.md") continue;
    const seen = new Set();
    const page = `docs/guide/${parts[index].replace(/\.md$/, "")}`;
    let title = "";
    for (const section of parts[index + 1].split(/^(?=#{1,4} )/m)) {
      const heading = /^#{1,4} (.*)$/m.exec(section)?.[1];
      if (!heading) continue;
      title ||= heading;
      const id = slug(heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll("`", ""), seen);
      sections.push({ title, heading, href: `${page}#${id}`, body: section, low: section.toLowerCase(), head: heading.toLowerCase() });
    }
  }
}

function search(words) {
  const rank = (one) => words.reduce((sum, word) => sum + (one.head.includes(word) ? 20 : 0) + Math.min(one.low.split(word).length - 1, 5), 0);
  const hits = sections.filter((one) => words.every((word) => one.low.includes(word)));
  return hits.map((one) => [rank(one), one]).sort(([a], [b]) => b - a).map(([, one]) => one);
}

function show(hits, words) {
  const found = document.getElementById("found");
  found.hidden = false;
  text.hidden = true;
  found.querySelector("[role=status]").textContent = `${hits.length} section${hits.length === 1 ? "" : "s"}`;
  found.querySelector("ol").replaceChildren(...hits.slice(0, 30).map((hit) => {
    const link = Object.assign(document.createElement("a"), { href: hit.href, textContent: hit.heading.replaceAll("`", "") });
    const at = Math.max(0, hit.low.indexOf(words[0], hit.heading.length + 3) - 60);
    const snippet = Object.assign(document.createElement("p"), { textContent: `…${hit.body.slice(at, at + 180).replace(/\s+/g, " ")}…` });
    const row = document.createElement("li");
    row.append(link, hit.title === hit.heading ? "" : ` · ${hit.title}`, snippet);
    return row;
  }));
}

const find = document.getElementById("find");
find.addEventListener("input", async () => {
  const words = find.value.toLowerCase().split(/\s+/).filter((word) => word.length > 1);
  if (!words.length) {
    document.getElementById("found").hidden = true;
    text.hidden = false;
    return;
  }
  if (!sections) await load();
  show(search(words), words);
});
// A hit on the page that is shown: its text again.
addEventListener("hashchange", () => {
  document.getElementById("found").hidden = true;
  text.hidden = false;
  document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
});

document.documentElement.dataset.ready = "yes";
