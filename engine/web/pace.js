// How often a control that is being moved is asked for.

export class Pace {
  /** `send(value, asked)`: `asked` is when this value was wanted, by performance.now(). */
  constructor(everyMs, send) {
    Object.assign(this, { everyMs, send, last: -Infinity });
  }

  /** Send at once; what comes within `everyMs` of that waits for its end, and the newest is sent. */
  want(value) {
    const asked = performance.now();
    this.wanted = [value, asked];
    const rest = this.last + this.everyMs - asked;
    if (rest <= 0) this.go();
    else this.timer ??= setTimeout(() => this.go(), rest);
  }

  go() {
    this.stop();
    this.last = performance.now();
    this.send(...this.wanted);
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
