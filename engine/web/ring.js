// The ring of chunks, drawn as a flower that turns.
//
// Each chunk is a petal on its own slot of the ring. The top is now. Clockwise from it lies what
// is to come: a chunk enters there as noise, closed and lying along the ring, and as its angle
// falls from 90 to 0 degrees the petal turns upright, calms down and warms up. Against the clock
// lies what was heard, which stays as context until its slot is needed. The outline of a petal is
// the loudness of its chunk, its colour how bright it sounds. A petal turns no faster than a chunk
// lasts, so that the eye can follow passes that take a few milliseconds.

const TURN = 2 * Math.PI;
const QUARTER = Math.PI / 2;
const BINS = 24;
const NOISE = [118, 150, 170];
const DARK = [226, 104, 78];
const BRIGHT = [250, 208, 120];
const HEARD = [255, 240, 212];
const BRIGHT_CROSSINGS = 0.25;
const TURNING_CHUNKS = 0.9;
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

export class Ring {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.layout({ chunks: 20, depth: 1, chunk_samples: 1 }, 1);
    this.level = 0;
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
  }

  /** `window` is that of the server's hello, `rate` the samples a second. */
  layout(window, rate) {
    this.window = window;
    this.chunkSeconds = window.chunk_samples / rate;
    this.slots = window.chunks + window.depth;
    this.petals = new Map();
    this.heard = null;
    this.origin = null;
  }

  resize() {
    const scale = Math.min(devicePixelRatio || 1, 2);
    const side = this.canvas.clientWidth;
    this.canvas.width = this.canvas.height = Math.round(side * scale);
    this.side = this.canvas.width;
  }

  /** The window of a state message: pairs of chunk index and angle, and where a chunk begins. */
  update({ rungs, chunk }) {
    if (!chunk) return;
    this.origin = chunk;
    for (const [index, angle] of rungs) this.petal(index).aim = angle;
    const newest = Math.max(...rungs.map(([index]) => index), chunk.index);
    for (const index of this.petals.keys()) {
      if (index <= newest - this.slots || index > newest) this.petals.delete(index);
    }
  }

  petal(index) {
    if (!this.petals.has(index)) {
      const peaks = new Float32Array(BINS);
      const counts = { heard: 0, crossed: 0, sign: 0 };
      this.petals.set(index, { aim: QUARTER, angle: QUARTER, peaks, grown: 0, ...counts });
    }
    return this.petals.get(index);
  }

  /** Where in the ring a sample of the feed lies, counted in chunks. */
  place(position) {
    if (!this.origin) return null;
    if (this.origin.cover && position >= this.origin.position) return this.origin.index + 0.999;
    return this.origin.index + (position - this.origin.position) / this.window.chunk_samples;
  }

  /** Take loudness and brightness of a packet's audio into the petals it belongs to. */
  hear({ position, frames, samples }) {
    const values = samples.length / frames; // of Opus more than channels: it is decoded to 48 kHz
    for (let frame = 0; frame < frames; frame++) {
      const place = this.place(position + frame);
      const petal = place === null ? null : this.petals.get(Math.floor(place));
      if (!petal) continue;
      const value = samples[Math.floor(frame * values)];
      const bin = Math.floor((place - Math.floor(place)) * BINS);
      petal.peaks[bin] = Math.max(petal.peaks[bin], Math.abs(value));
      petal.crossed += value * petal.sign < 0;
      petal.sign = value || petal.sign;
      petal.heard++;
    }
  }

  /** Draw the moment at which `position` sounds; `elapsed` seconds after the last drawing. */
  draw(position, level, elapsed) {
    const place = position === null ? null : this.place(position);
    this.heard = place;
    this.level += (level - this.level) * Math.min(1, elapsed * 12);
    const { context, side } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, side, side);
    context.translate(side / 2, side / 2);
    this.drawHub(side);
    if (place === null) this.drawAsleep(side);
    else for (const [index, petal] of this.petals) this.drawPetal(index, petal, place, elapsed);
    this.drawNow(side, place !== null);
  }

  drawHub(side) {
    const { context } = this;
    const radius = side * (0.2 + 0.012 * Math.min(1, this.level * 3));
    context.beginPath();
    context.arc(0, 0, radius, 0, TURN);
    context.lineWidth = side * 0.0025;
    context.strokeStyle = `rgba(240, 179, 92, ${0.18 + Math.min(0.7, this.level * 2)})`;
    context.stroke();
  }

  drawAsleep(side) {
    for (let slot = 0; slot < this.slots; slot++) {
      const petal = { angle: QUARTER, peaks: null };
      this.shape(petal, (slot / this.slots) * TURN, 0.5, NOISE, side);
    }
  }

  drawNow(side, awake) {
    const { context } = this;
    context.fillStyle = awake ? "rgba(255, 240, 212, 0.9)" : "rgba(255, 240, 212, 0.25)";
    context.beginPath();
    context.moveTo(0, -side * 0.462);
    context.lineTo(-side * 0.011, -side * 0.484);
    context.lineTo(side * 0.011, -side * 0.484);
    context.fill();
  }

  drawPetal(index, petal, place, elapsed) {
    const ahead = index + 0.5 - place;
    if (ahead > this.slots / 2 + this.window.depth || ahead < -this.slots) return;
    const turn = (QUARTER * elapsed) / (TURNING_CHUNKS * this.chunkSeconds);
    petal.angle = Math.max(petal.aim, petal.angle - turn);
    petal.grown = Math.min(1, petal.grown + elapsed * 8);
    const sounding = Math.floor(place) === index;
    const age = Math.max(0, -ahead) / this.slots;
    const light = (sounding ? 1 : 0.85 - 0.75 * age) * petal.grown;
    const bright = petal.heard ? Math.sqrt(petal.crossed / petal.heard / BRIGHT_CROSSINGS) : 0.5;
    const made = blend(DARK, BRIGHT, Math.min(1, bright));
    const color = sounding ? blend(HEARD, made, 0.25) : blend(made, NOISE, Math.sin(petal.angle));
    this.shape(petal, (ahead / this.slots) * TURN, light, color, this.side, sounding);
  }

  // One petal: its foot at the turn's direction, its axis tilted by its angle.
  shape(petal, turn, light, color, side, sounding = false) {
    const { context } = this;
    const noise = Math.sin(petal.angle);
    const length = side * (0.185 - 0.05 * noise);
    const width = (side * 0.34 * Math.PI) / this.slots;
    context.save();
    context.rotate(turn);
    context.translate(0, -side * (0.245 + 0.09 * noise));
    context.rotate(petal.angle);
    context.translate(0, noise * length * 0.5);
    this.outline(petal, length, width, noise);
    if (sounding) {
      context.shadowColor = rgba(BRIGHT, 0.8);
      context.shadowBlur = side * 0.04;
    }
    context.fillStyle = rgba(color, light * (0.9 - 0.72 * noise));
    context.fill();
    context.shadowBlur = 0;
    context.lineWidth = side * 0.0024;
    context.strokeStyle = rgba(color, light * (0.35 + 0.65 * noise));
    context.stroke();
    context.restore();
  }

  outline({ peaks }, length, width, noise) {
    const { context } = this;
    const shake = STILL.matches ? 0 : noise * width * 0.55;
    const reach = (bin) => {
      const along = (bin + 0.5) / BINS;
      const body = 0.1 + 0.2 * Math.sin(Math.PI * along);
      const loud = peaks ? Math.min(1, 1.4 * Math.sqrt(peaks[bin])) * Math.sqrt(Math.sin(Math.PI * along)) : 0;
      return width * Math.max(body, 0.95 * loud) + shake * (Math.random() - 0.5);
    };
    context.beginPath();
    context.moveTo(0, 0);
    for (let bin = 0; bin < BINS; bin++) context.lineTo(reach(bin), (-length * (bin + 0.5)) / BINS);
    context.lineTo(0, -length);
    for (let bin = BINS - 1; bin >= 0; bin--) context.lineTo(-reach(bin), (-length * (bin + 0.5)) / BINS);
    context.closePath();
  }

  /** In a few words: the chunk that sounds, and the angle of the one in the making. */
  caption() {
    if (this.origin.cover) return "holding";
    const turning = [...this.petals.values()].filter(({ angle }) => angle > 0.1);
    const angle = turning.length ? Math.max(...turning.map((petal) => petal.angle)) : 0;
    return `chunk ${Math.floor(this.heard)} · ${Math.round((angle * 180) / Math.PI)}°`;
  }

  /** What a listener who cannot see the ring should know of it. */
  describe() {
    if (this.heard === null) return "The ring of chunks, not yet playing";
    const now = Math.floor(this.heard);
    const waiting = [...this.petals].filter(([index, { aim }]) => index > now && aim < 0.1).length;
    const turning = [...this.petals.values()].filter(({ aim }) => aim >= 0.1);
    const degrees = turning.map(({ aim }) => `${Math.round((aim * 180) / Math.PI)} degrees`);
    const making = degrees.length ? `in the making at ${degrees.join(", ")}` : "none in the making";
    return `Chunk ${now} sounds; ${waiting} finished ahead; ${making}`;
  }
}

function blend(from, to, share) {
  return from.map((value, index) => Math.round(value + (to[index] - value) * share));
}

function rgba([red, green, blue], alpha) {
  return `rgba(${red}, ${green}, ${blue}, ${Math.max(0, alpha).toFixed(3)})`;
}
