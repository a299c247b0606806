// The prompts as rows: words, and a weight where there are several of them.
//
// What is typed is asked for on Enter or when the field is left, a weight while it moves. What
// other listeners ask for replaces the rows, but never under the hands of whoever is at them.

import { Pace } from "./pace.js";
import { create, range } from "./widgets.js";

const EVERY_MS = 150;
const OWN_MS = 1000;
const MOST = 8;
const WEIGHT = { minimum: 0.05, maximum: 2, step: 0.05 };
const EXAMPLES = [
  "slow ambient pads, no drums",
  "warm strings",
  "a walking bass",
  "bright, busy bells",
  "soft brushes, late at night",
];

export class Prompts {
  /** `ask(prompts, asked)` asks the server for what was wanted at that time; `list` and `add` are the elements. */
  constructor(list, add, ask) {
    Object.assign(this, { list, add, ask });
    this.rows = [];
    this.touched = -OWN_MS;
    this.present = "";
    this.pace = new Pace(EVERY_MS, (_, asked) => this.send(asked));
    add.addEventListener("click", () => this.insert({ text: "", weight: 1 }).field.focus());
    list.addEventListener("focusout", () => setTimeout(() => this.settle()));
    this.render([]);
  }

  /** The prompts as the server knows them. */
  update(prompts) {
    this.latest = prompts;
    this.settle();
  }

  /** Show what the server said last, as soon as nobody is at work here. */
  settle() {
    clearTimeout(this.waiting);
    if (this.latest === undefined) return;
    const rest = OWN_MS - (performance.now() - this.touched);
    if (rest > 0) return void (this.waiting = setTimeout(() => this.settle(), rest));
    if (this.rows.some(({ field }) => field === document.activeElement && field.value !== field.defaultValue)) return;
    const told = JSON.stringify(this.latest);
    if (told !== JSON.stringify(this.wanted())) this.render(this.latest);
    this.present = told;
    this.latest = undefined;
  }

  render(prompts) {
    const focused = this.rows.findIndex(({ element }) => element.contains(document.activeElement));
    this.rows = [];
    this.list.replaceChildren();
    for (const prompt of prompts.length ? prompts : [{ text: "", weight: 1 }]) this.insert(prompt);
    if (focused >= 0) this.rows[Math.min(focused, this.rows.length - 1)].field.focus();
  }

  insert(prompt) {
    const made = row(prompt, EXAMPLES[this.rows.length % EXAMPLES.length]);
    made.field.addEventListener("change", () => this.changed());
    made.weight.addEventListener("input", () => this.changed());
    made.remove.addEventListener("click", () => this.remove(made));
    this.rows.push(made);
    this.list.append(made.element);
    this.number();
    return made;
  }

  remove(gone) {
    const place = this.rows.indexOf(gone);
    this.rows.splice(place, 1);
    gone.element.remove();
    if (!this.rows.length) this.insert({ text: "", weight: 1 });
    this.number();
    this.rows[Math.min(place, this.rows.length - 1)].field.focus();
    this.changed();
  }

  /** Names for those who hear the page; a weight means nothing where there is one prompt only. */
  number() {
    this.list.dataset.single = this.rows.length === 1;
    this.add.disabled = this.rows.length >= MOST;
    this.rows.forEach((made, place) => made.name(place + 1));
  }

  changed() {
    this.touched = performance.now();
    for (const { field } of this.rows) field.defaultValue = field.value;
    this.pace.want();
  }

  send(asked) {
    const wanted = this.wanted();
    if (JSON.stringify(wanted) === this.present) return;
    this.present = JSON.stringify(wanted);
    this.ask(wanted, asked);
  }

  /** The rows that ask for something, as the protocol has them. */
  wanted() {
    return this.rows.filter(({ field }) => field.value.trim()).map((made) => made.read());
  }
}

function row({ text, recording, weight }, example) {
  const element = create("li", { className: "prompt" });
  const label = create("label", { className: "unseen" });
  const field = create("input", { type: "text", maxLength: 1000, placeholder: example, autocomplete: "off" });
  field.value = field.defaultValue = recording ? `recording ${recording}` : text;
  field.readOnly = recording !== undefined;
  field.enterKeyHint = "go";
  const heavy = create("label", { className: "unseen" });
  const { input: slider, move } = range({ ...WEIGHT, maximum: Math.max(WEIGHT.maximum, weight) });
  const output = create("output");
  const remove = create("button", { type: "button", textContent: "×", title: "remove" });
  const show = (value) => {
    output.textContent = `×${Number(value).toFixed(2)}`;
    move(value, `${Number(value).toFixed(2)} times`);
  };
  show(weight);
  let exact = weight;
  slider.addEventListener("input", () => show((exact = Number(slider.value))));
  element.append(label, field, remove, heavy, slider, output);
  const name = (number) => {
    label.textContent = `Prompt ${number}`;
    heavy.textContent = `Weight of prompt ${number}`;
    label.htmlFor = field.id = `prompt-${number}`;
    heavy.htmlFor = slider.id = `weight-${number}`;
    remove.setAttribute("aria-label", `Remove prompt ${number}`);
  };
  const read = () => (recording ? { recording, weight: exact } : { text: field.value, weight: exact });
  return { element, field, weight: slider, remove, name, read };
}
