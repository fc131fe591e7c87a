// Markdown → tokens: markdown-it (CommonMark with tables, strikethrough, bare links), footnotes, and math in the notations models use. HTML is text.

import "../vendor/markdown-it/markdown-it.min.mjs";
import "../vendor/markdown-it/markdown-it-footnote.min.mjs";

const { markdownit, markdownitFootnote } = globalThis;

// Notations of math: opening and closing marks, and whether it stands by itself.
const MATH = [["$$", "$$", true], ["\\[", "\\]", true], ["\\(", "\\)", false], ["$", "$", false]];
const MOST_MATH = 5_000; // characters of one formula

// Where a mark comes next, from an offset on. What was found is kept in `found`, by mark: a text of opening marks is searched once.
function next(text, mark, from, found) {
  const last = found.get(mark);
  if (last?.text === text && last.from <= from && (last.at < 0 || last.at >= from)) return last.at;
  const at = text.indexOf(mark, from);
  found.set(mark, { text, from, at });
  return at;
}

// The offset behind a formula that begins at `start`, or -1. A single dollar is money, not math, before a blank or a digit's price.
function closing(text, start, [open, close], most, env) {
  const end = next(text, close, start + open.length, (env.marks ??= new Map()));
  if (end < 0 || end > most || end - start > MOST_MATH || !text.slice(start + open.length, end).trim()) return -1;
  if (open !== "$") return end;
  const money = /\s/.test(text[start + 1]) || /\s/.test(text[end - 1]) || /\d/.test(text[end + 1] ?? "") || text.slice(start, end).includes("\n");
  return money ? -1 : end;
}

function inlineMath(state, silent) {
  const { src, pos, posMax } = state;
  if (src[pos] !== "$" && src[pos] !== "\\") return false;
  const marks = MATH.find(([open]) => src.startsWith(open, pos));
  const end = marks ? closing(src, pos, marks, posMax, state.env) : -1;
  if (end < 0) return false;
  if (!silent) {
    const token = state.push("math", "", 0);
    token.content = src.slice(pos + marks[0].length, end).trim();
    token.meta = { display: marks[2], source: src.slice(pos, end + marks[1].length) };
  }
  state.pos = end + marks[1].length;
  return true;
}

// A formula in lines of its own, which may contain blank lines.
function blockMath(state, first, last, silent) {
  const start = state.bMarks[first] + state.tShift[first];
  const marks = MATH.slice(0, 2).find(([open]) => state.src.startsWith(open, start));
  if (!marks || state.sCount[first] - state.blkIndent >= 4) return false;
  const end = closing(state.src, start, marks, state.eMarks[last - 1], state.env);
  if (end < 0) return false;
  let line = first;
  while (state.eMarks[line] < end) line += 1;
  if (state.eMarks[line] - end > MOST_MATH || state.src.slice(end + 2, state.eMarks[line]).trim()) return false;
  if (silent) return true;
  const token = state.push("math", "", 0);
  token.content = state.src.slice(start + 2, end).trim();
  token.meta = { display: true, source: state.src.slice(start, end + 2) };
  token.map = [first, line + 1];
  token.block = true;
  state.line = line + 1;
  return true;
}

const parser = markdownit({ html: false, linkify: true, breaks: true, maxNesting: 40 }).use(markdownitFootnote);
parser.inline.ruler.before("escape", "math", inlineMath);
parser.block.ruler.before("fence", "math", blockMath, { alt: ["paragraph", "reference", "blockquote", "list"] });
parser.linkify.set({ fuzzyLink: false, fuzzyEmail: false });
parser.validateLink = (target) => /^(https?:|mailto:|sandbox:|data:image\/(png|jpeg|gif|webp);base64,)/i.test(target); // others stay text

export const parse = (text, env = {}) => parser.parse(text, env);
