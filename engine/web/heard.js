// From what a hand does to what an ear hears.
//
// The answer to a control names its revision and the sample from which it is heard; packets name the
// revisions that made them. The first packet that carries the revision and reaches that sample is
// marked there, the player says when it plays the mark, and the context's clock when that comes out.
// So the time is seen, not promised: network, buffer and output latency are all in it.

export class Heard {
  /** `tell({ name, kind, revision, asked, arrived, sounded })`, times as of performance.now(). */
  constructor(tell) {
    this.tell = tell;
    this.ids = 0;
    this.forget();
  }

  /** Nothing that was asked will be heard here any more. */
  forget() {
    this.waiting = new Map();
  }

  /** A control is under way: `name`, `kind`, when it was `asked`, and the server's answer to it. */
  expect({ name, kind, asked, revision, heard_at: at }) {
    this.waiting.set(name, { id: ++this.ids, name, kind, asked, revision, at, arrived: null, marked: false });
  }

  /** A packet came: where in it the player shall say that it has got there. */
  arrive({ position, frames, ideaRevision, handRevision }, now) {
    const marks = [];
    for (const change of this.waiting.values()) {
      const carried = change.kind === "hand" ? handRevision : ideaRevision;
      if (change.marked || carried < change.revision) continue;
      change.arrived ??= now;
      if (position + frames <= change.at) continue;
      change.marked = true;
      marks.push({ id: change.id, offset: Math.max(0, change.at - position) });
    }
    return marks;
  }

  /** A mark came out at a time. */
  sound(id, now) {
    const change = [...this.waiting.values()].find((one) => one.id === id);
    if (!change) return; // asked for again in the meantime
    this.waiting.delete(change.name);
    const { name, kind, revision, asked, arrived } = change;
    this.tell({ name, kind, revision, asked, arrived, sounded: now });
  }
}
