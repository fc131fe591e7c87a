// Parser of server-sent events in pieces of text: `{ event }` for data, `{ said }` for the backend's Deltas (a comment).

const SAID = ": backend ";

export class Frames {
  #held = "";

  feed(text) {
    const blocks = (this.#held + text).split("\n\n");
    this.#held = blocks.pop();
    return blocks.map(read).filter(Boolean);
  }
}

function read(block) {
  if (block.startsWith(SAID)) return { said: JSON.parse(block.slice(SAID.length)) };
  const data = block
    .split("\n")
    .filter((line) => line.startsWith("data:"))
    .map((line) => line.slice(5).trimStart())
    .join("\n");
  return data && data !== "[DONE]" ? { event: JSON.parse(data) } : null;
}
