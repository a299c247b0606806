// The controls, built from the list in the server's hello, and the figures below them.

import { Pace } from "./pace.js";
import { BUTTONS, button, choice, create, dial, entry, slider, toggle } from "./widgets.js";

const element = (id) => document.getElementById(id);
const EVERY_MS = 60;
const OWN_MS = 800;
const ANSWER_MS = 3000;
const ERROR_MS = 8000;
const PLACES = ["hand-buttons", "hand-sliders", "key", "motion", "instruments", "idea-sliders", "more-sliders"];
const FIELDSETS = ["hands", "asking", "ideas"];

export class Board {
  /** `set(spec, value, asked)` asks the server for what was wanted at that time. */
  constructor(set) {
    this.set = set;
    this.controls = new Map();
    this.figures = new Map();
  }

  /** `prompting` is that of the hello: null where nothing takes prompts. */
  build(specs, prompting) {
    for (const id of PLACES) element(id).replaceChildren();
    for (const { pace } of this.controls.values()) pace.stop();
    this.controls.clear();
    document.body.dataset.prompting = prompting !== null;
    element("asking").hidden = prompting === null;
    element("more").hidden = prompting === null;
    const buttons = Object.keys(BUTTONS);
    const rank = (spec) => (buttons.indexOf(spec.name) + 1 || 99);
    for (const spec of [...specs].sort((a, b) => rank(a) - rank(b))) {
      const [make, parent] = placed(spec, prompting !== null);
      const control = make(spec, (value) => this.ask(spec.name, value));
      control.pace = new Pace(EVERY_MS, (value, asked) => this.set(spec, value, asked));
      element(parent).append(control.element);
      control.show(spec.value);
      this.controls.set(spec.name, control);
    }
  }

  /** A listener touches nothing, a performer the hands. */
  enable(enabled, role = "conductor") {
    for (const id of FIELDSETS) {
      const may = role === "conductor" || (role === "performer" && id === "hands");
      element(id).disabled = !(enabled && may);
    }
  }

  /** Ask at once, and at most every 60 ms for each control, for the newest value. */
  ask(name, value) {
    const control = this.controls.get(name);
    control.touched = performance.now();
    control.pace.want(value);
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

  /** Say how something went; where there is little room it is shown for a while only. */
  answer(text, isError = false) {
    const line = element("answer");
    line.textContent = text;
    line.dataset.mood = isError ? "bad" : "";
    line.dataset.fresh = true;
    clearTimeout(this.fading);
    this.fading = setTimeout(() => (line.dataset.fresh = false), isError ? ERROR_MS : ANSWER_MS);
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

/** How a control looks, and where it stands. */
function placed(spec, prompting) {
  if (BUTTONS[spec.name]) return [button, "hand-buttons"];
  if (spec.kind === "hand") return [slider, "hand-sliders"];
  if (spec.choices) return [choice, "key"];
  if (spec.optional) return spec.whole && spec.maximum === 1 ? [toggle, "instruments"] : [dial, "motion"];
  return [spec.maximum > 1e6 ? entry : slider, prompting ? "more-sliders" : "idea-sliders"];
}
