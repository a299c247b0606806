// The player: a jitter buffer that runs on the audio thread.
//
// Packets come in by their position in the feed; what was already received is ignored, a gap or a
// new epoch is joined by a short crossfade. The buffer aims at `target` of audio in hand when the
// next packet arrives: 80 ms at first, 5 ms more after each underrun, at most 500 ms. A clock that
// drifts is followed by resampling within 0.1 %; audio beyond the aim is dropped, oldest first: from
// 250 ms on, and in the first five seconds from 20 ms on, for how much a start leaves too much depends
// on where between two packets it fell. Of the packets that a late joiner is sent again, only as much
// is kept as the aim asks for. A packet may carry marks: when the first sample at or behind one is
// played, that is told.

const TARGET_FIRST_S = 0.08;
const TARGET_STEP_S = 0.005;
const TARGET_MOST_S = 0.5;
const SURPLUS_S = 0.25;
const SURPLUS_FIRST_S = 0.02;
const FIRST_CHECKS = 5;
const RING_S = 8;
const JOIN_S = 0.005;
const TRIM_MOST = 0.001;
const TRIM_OVER_S = 30;
const REPORT_S = 0.05;
const HELD_DECAY = 0.98;

class Player extends AudioWorkletProcessor {
  constructor({ processorOptions: { rate, channels } }) {
    super();
    this.rate = rate;
    this.channels = channels;
    this.size = Math.round(RING_S * rate);
    this.ring = Array.from({ length: channels }, () => new Float32Array(this.size));
    this.joinSamples = Math.round(JOIN_S * rate);
    this.target = TARGET_FIRST_S * rate;
    this.written = 0;
    this.at = 0;
    this.packet = 0;
    this.marks = [];
    this.firstChecks = FIRST_CHECKS;
    this.playing = false;
    this.gain = 0;
    this.trim = 0;
    this.low = Infinity;
    this.lowUntil = rate;
    this.stats = { underruns: 0, dropped: 0, played: 0, peak: 0, square: 0, since: 0 };
    this.last = new Float32Array(channels);
    this.held = new Float32Array(channels);
    this.port.onmessage = ({ data }) => this.push(data);
  }

  get fill() {
    return this.written - this.at;
  }

  push({ epoch, position, frames, samples, replay, marks }) {
    let skip = 0;
    if (epoch === this.epoch) skip = Math.max(0, this.expected - position);
    if (skip >= frames) return;
    const joined = epoch === this.epoch && position <= this.expected;
    if (!joined) this.fadeTail();
    for (const { id, offset } of marks ?? []) this.mark(id, Math.max(0, offset - skip));
    this.copy(samples, skip, frames, joined ? 0 : this.joinSamples);
    this.epoch = epoch;
    this.expected = position + frames;
    this.packet = frames;
    const full = this.fill > this.size - 2 * frames;
    if (full || (replay && this.playing)) this.drop(this.fill - this.target - frames);
    if (!this.playing && this.fill >= this.target + frames) this.start();
  }

  mark(id, offset) {
    this.marks.push({ id, at: this.written + offset });
    this.marks.sort((a, b) => a.at - b.at);
  }

  copy(samples, from, to, fadeIn) {
    for (let frame = from; frame < to; frame++) {
      const gain = Math.min(1, (frame - from + 1) / (fadeIn + 1));
      for (let channel = 0; channel < this.channels; channel++) {
        const value = samples[frame * this.channels + channel];
        this.ring[channel][this.written % this.size] = gain * value;
      }
      this.written++;
    }
  }

  fadeTail() {
    const tail = Math.min(this.joinSamples, Math.max(0, Math.floor(this.fill) - 4));
    for (let back = 1; back <= tail; back++) {
      const slot = (this.written - back) % this.size;
      for (const channel of this.ring) channel[slot] *= (back - 1) / tail;
    }
  }

  start() {
    this.drop(this.fill - this.target - this.packet);
    this.playing = true;
    this.breakOff();
    this.low = Infinity;
    this.lowUntil = this.rate;
  }

  drop(samples) {
    if (samples < 1) return;
    this.at += Math.floor(samples);
    this.stats.dropped += Math.floor(samples);
    this.breakOff();
  }

  // What comes next fades in over what was last heard, which dies away: no step, no click.
  breakOff() {
    this.gain = 0;
    this.held.set(this.last);
  }

  process(_inputs, [output]) {
    const step = (this.rate / sampleRate) * (1 + this.trim);
    const frames = output[0].length;
    for (let frame = 0; frame < frames; frame++) {
      if (this.playing && this.fill < 4) this.underrun();
      if (this.playing) this.play(output, frame, step);
      else this.rest(output, frame);
    }
    this.follow(frames * step);
    this.report(frames);
    return true;
  }

  play(output, frame, step) {
    const whole = Math.floor(this.at);
    const part = this.at - whole;
    while (this.at >= this.marks[0]?.at) this.tell(this.marks.shift(), frame);
    this.gain = Math.min(1, this.gain + 1 / this.joinSamples);
    for (let channel = 0; channel < output.length; channel++) {
      this.sound(output, channel, frame, this.gain * this.hermite(this.ring[channel], whole, part));
    }
    this.at += step;
    this.stats.played++;
  }

  tell({ id }, frame) {
    this.port.postMessage({ mark: id, time: currentTime + frame / sampleRate });
  }

  rest(output, frame) {
    for (let channel = 0; channel < output.length; channel++) this.sound(output, channel, frame, 0);
  }

  sound(output, channel, frame, value) {
    const sum = value + this.held[channel];
    this.held[channel] *= HELD_DECAY;
    this.last[channel] = sum;
    output[channel][frame] = sum;
    this.stats.peak = Math.max(this.stats.peak, Math.abs(sum));
    this.stats.square += sum * sum;
  }

  // Cubic Hermite through four samples; exact where `part` is 0.
  hermite(ring, whole, part) {
    const a = ring[(whole + this.size - 1) % this.size];
    const b = ring[whole % this.size];
    const c = ring[(whole + 1) % this.size];
    const d = ring[(whole + 2) % this.size];
    const slope = (c - a) / 2;
    const bend = a - 2.5 * b + 2 * c - d / 2;
    const twist = (d - a) / 2 + 1.5 * (b - c);
    return ((twist * part + bend) * part + slope) * part + b;
  }

  underrun() {
    this.playing = false;
    this.breakOff();
    this.stats.underruns++;
    this.firstChecks = 0;
    this.target = Math.min(TARGET_MOST_S * this.rate, this.target + TARGET_STEP_S * this.rate);
  }

  // Once a second the least audio in hand is compared with the aim.
  follow(samples) {
    if (!this.playing) return;
    this.low = Math.min(this.low, this.fill);
    this.lowUntil -= samples;
    if (this.lowUntil > 0) return;
    const surplus = this.low - this.target;
    const most = this.firstChecks-- > 0 ? SURPLUS_FIRST_S : SURPLUS_S;
    if (surplus > most * this.rate) this.drop(surplus);
    const trim = surplus / (TRIM_OVER_S * this.rate);
    this.trim = Math.max(-TRIM_MOST, Math.min(TRIM_MOST, trim));
    this.low = Infinity;
    this.lowUntil = this.rate;
  }

  report(frames) {
    const { stats } = this;
    stats.since += frames;
    if (stats.since < REPORT_S * sampleRate) return;
    this.port.postMessage({
      playing: this.playing,
      position: Math.max(0, (this.expected ?? 0) - this.fill),
      fillMs: (1000 * this.fill) / this.rate,
      targetMs: (1000 * this.target) / this.rate,
      trim: this.trim,
      underruns: stats.underruns,
      droppedMs: (1000 * stats.dropped) / this.rate,
      played: stats.played,
      peak: stats.peak,
      rms: Math.sqrt(stats.square / (stats.since * this.channels)),
    });
    Object.assign(stats, { peak: 0, square: 0, since: 0 });
  }
}

registerProcessor("player", Player);
