// Markdown as elements. Its parts: text/parser (tokens), text/elements, text/code (colours), text/math, text/flow (while it grows).

import { elements } from "./text/elements.mjs";
import { parse } from "./text/parser.mjs";

export { code } from "./text/code.mjs";
export { Flow } from "./text/flow.mjs";

export const markdown = (text) => elements(parse(text));
