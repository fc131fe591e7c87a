// Attachments of a prompt: picked, pasted or dropped; pictures, sound, and files, within what a request may hold.

import { $, h } from "../dom.mjs";
import { size } from "../parts.mjs";

const MOST_BYTES = 11_000_000; // of all of them: a request has at most 16 MiB (`max_body`), and base64 adds a third
const MOST = 20;
const SOUNDS = { "audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3" };
const PICTURES = /^image\/(png|jpeg|gif|webp)$/;
const OTHERS = /^(image|audio|video)\//; // what no model takes

export class Attachments {
  #all = [];
  ready = Promise.resolve(); // once all files have been read

  constructor() {
    this.list = $("attached");
    this.note = $("attached-note");
    $("attach").addEventListener("click", () => $("files").click());
    $("files").addEventListener("change", () => {
      this.add([...$("files").files]);
      $("files").value = "";
    });
    $("input").addEventListener("paste", (event) => event.clipboardData?.files.length && this.#took(event, event.clipboardData));
    const stage = $("stage");
    for (const kind of ["dragenter", "dragover"]) stage.addEventListener(kind, (event) => this.#over(event));
    for (const kind of ["dragleave", "drop"]) stage.addEventListener(kind, () => stage.classList.remove("dropping"));
    stage.addEventListener("drop", (event) => event.dataTransfer?.files.length && this.#took(event, event.dataTransfer));
  }

  get parts() {
    return this.#all.map((one) => one.part);
  }

  #over(event) {
    if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
    event.preventDefault();
    $("stage").classList.add("dropping");
  }

  #took(event, from) {
    event.preventDefault();
    this.add([...from.files]);
  }

  add(files) {
    this.ready = this.ready.then(() => this.#add(files)).catch((error) => (this.note.textContent = error.message));
    return this.ready;
  }

  async #add(files) {
    this.note.textContent = "";
    for (const file of files) {
      const total = this.#all.reduce((sum, one) => sum + one.size, 0) + file.size;
      const refused = this.#refusal(file, total);
      if (refused) this.note.textContent = refused;
      else this.#all.push({ name: file.name, size: file.size, part: await part(file) });
    }
    this.#draw();
  }

  #refusal(file, total) {
    if (OTHERS.test(file.type) && !PICTURES.test(file.type) && !SOUNDS[file.type]) return `${file.name}: ${file.type} is not supported. Pictures: PNG, JPEG, GIF, WebP; audio: WAV, MP3.`;
    if (total > MOST_BYTES) return `${file.name} (${size(file.size)}) does not fit: the attachments of a request may have ${size(MOST_BYTES)} in total.`;
    if (this.#all.length >= MOST) return `A request may have ${MOST} attachments.`;
    return file.size ? "" : `${file.name} is empty.`;
  }

  // Takes the parts out, or puts parts in, for a turn that is edited.
  replace(parts = []) {
    this.#all = parts.map((one) => ({ name: one.filename ?? one.type.replace("input_", ""), size: Math.round((JSON.stringify(one).length * 3) / 4), part: one }));
    this.note.textContent = "";
    this.#draw();
  }

  #draw() {
    this.list.replaceChildren(...this.#all.map((one, index) => h("li", {}, thumbnail(one.part), h("span", {}, one.name || "pasted"), h("span.note", {}, ` ${size(one.size)}`),
      h("button.link", { type: "button", "aria-label": `Remove ${one.name}`, onclick: () => this.#remove(index) }, "×"))));
    this.list.hidden = !this.#all.length;
  }

  #remove(index) {
    this.#all.splice(index, 1);
    this.#draw();
    $("input").focus();
  }
}

const thumbnail = (one) => (one.image_url ? h("img", { src: one.image_url, alt: "" }) : "");

async function part(file) {
  const url = await dataUrl(file);
  if (PICTURES.test(file.type)) return { type: "input_image", image_url: url, detail: "auto" };
  if (SOUNDS[file.type]) return { type: "input_audio", input_audio: { data: url.slice(url.indexOf(",") + 1), format: SOUNDS[file.type] } };
  return { type: "input_file", filename: file.name || "pasted.txt", file_data: url };
}

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
