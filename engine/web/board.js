// The controls, built from the list in the server's hello, and the figures below them.

const element = (id) => document.getElementById(id);
const EVERY_MS = 60;
const OWN_MS = 800;
const FADE_S = 4;

// Hands that are buttons: what they are called, their key, and what they are set to.
const BUTTONS = {
  hold: { label: "Hold", key: "h", on: 1, hint: "keep the present music going" },
  fade: { label: "Fade", key: "f", on: FADE_S, hint: `fade out in ${FADE_S} s; again: come back` },
  mute: { label: "Mute", key: "m", on: 1, hint: "silence; the music goes on unheard" },
  panic: { label: "Panic", key: "p", on: 1, hint: "silence, at once; again: come back" },
};

const LABELS = { gain_db: "Gain", seed: "Seed", steps: "Passes", temperature: "Temperature" };

export class Board {
  /** `set(name, value)` asks the server. */
  constructor(set) {
    this.set = set;
    this.controls = new Map();
    this.figures = new Map();
  }

  build(specs) {
    for (const id of ["hand-buttons", "hand-sliders", "idea-sliders"]) element(id).replaceChildren();
    this.controls.clear();
    const buttons = Object.keys(BUTTONS);
    const rank = (spec) => (buttons.indexOf(spec.name) + 1 || 99);
    for (const spec of [...specs].sort((a, b) => rank(a) - rank(b))) {
      const make = BUTTONS[spec.name] ? button : spec.maximum > 1e6 ? entry : slider;
      const parent = make === button ? "hand-buttons" : spec.kind === "hand" ? "hand-sliders" : "idea-sliders";
      const control = make(spec, (value) => this.ask(spec.name, value));
      element(parent).append(control.element);
      control.show(spec.value);
      this.controls.set(spec.name, control);
    }
  }

  enable(enabled) {
    element("hands").disabled = element("ideas").disabled = !enabled;
  }

  /** Ask at most every 60 ms for each control, for the newest value. */
  ask(name, value) {
    const control = this.controls.get(name);
    control.touched = performance.now();
    control.wanted = value;
    control.timer ??= setTimeout(() => {
      control.timer = undefined;
      this.set(name, control.wanted);
    }, EVERY_MS);
  }

  /** Show the values of a state message, except those that are being moved here. */
  update(values) {
    const now = performance.now();
    for (const [name, control] of this.controls) {
      if (name in values && now - (control.touched ?? -OWN_MS) > OWN_MS) control.show(values[name]);
    }
  }

  key(key) {
    const name = Object.keys(BUTTONS).find((candidate) => BUTTONS[candidate].key === key);
    if (name && !element("hands").disabled) this.controls.get(name)?.press();
  }

  answer(text, isError = false) {
    element("answer").textContent = text;
    element("answer").dataset.mood = isError ? "bad" : "";
  }

  /** Figures by name: a text, or a text and a mood ("", "warn", "bad"). */
  show(figures) {
    for (const [name, figure] of Object.entries(figures)) {
      const [text, mood] = Array.isArray(figure) ? figure : [figure, ""];
      const target = this.figures.get(name) ?? this.addFigure(name);
      if (target.textContent !== text) target.textContent = text;
      if (target.dataset.mood !== mood) target.dataset.mood = mood;
    }
  }

  addFigure(name) {
    const group = create("div");
    const value = create("dd", { id: `figure-${name.replaceAll(" ", "-")}` });
    group.append(create("dt", { textContent: name }), value);
    element("figures").append(group);
    this.figures.set(name, value);
    return value;
  }
}

function create(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}

function button(spec, ask) {
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

function slider(spec, ask) {
  const { row, label, output } = labelled(spec);
  const step = spec.whole ? 1 : (spec.maximum - spec.minimum) / 200;
  const input = create("input", { type: "range", id: label.htmlFor, min: spec.minimum, max: spec.maximum, step });
  const show = (value) => {
    input.value = value;
    output.textContent = format(spec, Number(value));
    input.setAttribute("aria-valuetext", output.textContent);
    const share = (value - spec.minimum) / (spec.maximum - spec.minimum);
    input.style.setProperty("--share", `${100 * share}%`);
  };
  const choose = (value) => (show(value), ask(Number(value)));
  input.addEventListener("input", () => choose(input.value));
  input.addEventListener("dblclick", () => choose(spec.default));
  row.append(label, output, input);
  return { element: row, show };
}

function entry(spec, ask) {
  const { row, label } = labelled(spec);
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

function labelled(spec) {
  const id = `control-${spec.name}`;
  const label = create("label", { htmlFor: id, textContent: LABELS[spec.name] ?? spec.name });
  return { row: create("div", { className: "slider" }), label, output: create("output", { htmlFor: id }) };
}

function format(spec, value) {
  const digits = spec.whole ? 0 : spec.maximum - spec.minimum > 10 ? 1 : 2;
  const sign = spec.unit === "dB" && value > 0 ? "+" : "";
  return `${sign}${value.toFixed(digits)} ${spec.unit}`.trim();
}
