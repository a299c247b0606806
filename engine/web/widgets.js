// The controls one by one. Each maker takes a control of the hello and `ask(value)`, and gives the
// element and `show(value)`. A value of null leaves an optional control free.

const FADE_S = 4;

/** Hands that are buttons: what they are called, their key, and what they are set to. */
export const BUTTONS = {
  hold: { label: "Hold", key: "h", on: 1, hint: "keep the present music going" },
  fade: { label: "Fade", key: "f", on: FADE_S, hint: `fade out in ${FADE_S} s; again: come back` },
  mute: { label: "Mute", key: "m", on: 1, hint: "silence; the music goes on unheard" },
  panic: { label: "Panic", key: "p", on: 1, hint: "silence, at once; again: come back" },
};

const LABELS = { gain_db: "Gain", bpm: "Tempo", tonic: "Key", steps: "Passes", focus: "Surprise", top_k: "Top-k" };
const HINTS = {
  guidance: "how much of what is asked is insisted on",
  focus: "how freely the next notes are chosen; 0 takes the likeliest",
  top_k: "from how many notes the next one is chosen",
  temperature: "how strong the noise is that a chunk begins as",
  steps: "passes for a chunk",
};
const FREE = "free";

export function create(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}

/** A hand: pressed or not. */
export function button(spec, ask) {
  const { label, key, on, hint } = BUTTONS[spec.name];
  const made = create("button", { type: "button", textContent: label, title: `${hint} (${key.toUpperCase()})` });
  made.dataset.hand = spec.name;
  made.setAttribute("aria-keyshortcuts", key);
  const show = (value) => made.setAttribute("aria-pressed", value > 0);
  const press = () => {
    const pressed = made.getAttribute("aria-pressed") === "true";
    show(pressed ? 0 : on);
    ask(pressed ? 0 : on);
  };
  made.addEventListener("click", press);
  return { element: made, show, press };
}

/** A slider that always has a value. */
export function slider(spec, ask) {
  const { row, label } = labelled(spec, "slider");
  const output = create("output", { htmlFor: label.htmlFor });
  const { input, move } = range(spec, label.htmlFor);
  const show = (value) => {
    output.textContent = format(spec, Number(value));
    move(value, output.textContent);
  };
  const choose = (value) => (show(value), ask(Number(value)));
  input.addEventListener("input", () => choose(input.value));
  input.addEventListener("dblclick", () => choose(spec.default));
  row.append(label, output, input);
  return { element: row, show };
}

/** A slider that may be left free: the pill beside it says its value, and frees or sets it. */
export function dial(spec, ask) {
  const { row, label } = labelled(spec, "dial");
  const { input, move } = range(spec, label.htmlFor);
  const pill = create("button", { type: "button", className: "pill" });
  const show = (value) => {
    const text = value === null ? FREE : format(spec, Number(value));
    move(value ?? input.value, text);
    row.dataset.free = value === null;
    pill.textContent = text;
    pill.title = value === null ? "ask for this" : "leave free";
    pill.setAttribute("aria-label", `${label.textContent} ${text}`);
    pill.setAttribute("aria-pressed", value !== null);
  };
  const choose = (value) => (show(value), ask(value));
  move(spec.default, FREE);
  input.addEventListener("input", () => choose(Number(input.value)));
  input.addEventListener("dblclick", () => choose(null));
  pill.addEventListener("click", () => choose(row.dataset.free === "true" ? Number(input.value) : null));
  row.append(label, input, pill);
  return { element: row, show };
}

/** One of the names that a control has for its values. */
export function choice(spec, ask) {
  const { row, label } = labelled(spec, "choice");
  const select = create("select", { id: label.htmlFor });
  if (spec.optional) select.append(new Option(FREE, ""));
  spec.choices.forEach((name, place) => select.append(new Option(pretty(name), place)));
  const show = (value) => {
    select.value = value ?? "";
    row.dataset.free = value === null;
  };
  select.addEventListener("change", () => {
    const value = select.value === "" ? null : Number(select.value);
    show(value);
    ask(value);
  });
  row.append(label, select);
  return { element: row, show };
}

/** An instrument: free, on or off, one after the other. */
export function toggle(spec, ask) {
  const name = title(spec);
  const made = create("button", { type: "button", className: "toggle", textContent: name });
  let present = null;
  const show = (value) => {
    present = value;
    made.dataset.wish = value === null ? FREE : value > 0 ? "on" : "off";
    made.setAttribute("aria-label", `${name}: ${made.dataset.wish}`);
  };
  made.addEventListener("click", () => {
    show(present === null ? 1 : present > 0 ? 0 : null);
    ask(present);
  });
  return { element: made, show };
}

/** A large number, and one by chance. */
export function entry(spec, ask) {
  const { row, label } = labelled(spec, "slider");
  const input = create("input", { type: "number", id: label.htmlFor, min: spec.minimum, max: spec.maximum, step: 1 });
  const dice = create("button", { type: "button", textContent: "New" });
  dice.setAttribute("aria-label", `New ${label.textContent.toLowerCase()} by chance`);
  dice.addEventListener("click", () => {
    input.value = Math.floor(Math.random() * 100_000);
    ask(Number(input.value));
  });
  input.addEventListener("change", () => ask(Number(input.value)));
  const pair = create("div", { className: "entry" });
  pair.append(input, dice);
  row.append(label, pair);
  const show = (value) => {
    if (document.activeElement !== input) input.value = value;
  };
  return { element: row, show };
}

/** A bare slider; `move(value, text)` puts it somewhere and says so in words. */
export function range(spec, id) {
  const { minimum, maximum } = spec;
  const step = spec.step ?? (spec.whole || span(spec) > 100 ? 1 : span(spec) / 200);
  const input = create("input", { type: "range", id, min: minimum, max: maximum, step });
  const move = (value, text) => {
    input.value = value;
    input.setAttribute("aria-valuetext", text);
    input.style.setProperty("--share", `${(100 * (value - minimum)) / (maximum - minimum)}%`);
  };
  return { input, move };
}

function labelled(spec, className) {
  const id = `control-${spec.name}`;
  const label = create("label", { htmlFor: id, textContent: title(spec) });
  const row = create("div", { className, title: HINTS[spec.name] ?? "" });
  return { row, label };
}

function title({ name }) {
  const words = LABELS[name] ?? name.replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}

function pretty(name) {
  return name.replace(/^([A-G])b$/, "$1♭").replace(/^([A-G])#$/, "$1♯");
}

function span({ minimum, maximum }) {
  return maximum - minimum;
}

function format(spec, value) {
  const digits = spec.whole || span(spec) > 100 ? 0 : span(spec) > 10 ? 1 : 2;
  const sign = spec.unit === "dB" && value > 0 ? "+" : "";
  return `${sign}${value.toFixed(digits)} ${spec.unit}`.trim();
}
