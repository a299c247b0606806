// The page: puts the feed, the player, the ring and the controls together.

import { Board } from "./board.js";
import { Feed, feedPath } from "./feed.js";
import { Heard } from "./heard.js";
import { kiosk, unlock } from "./kiosk.js";
import { OPUS_RATE, OpusDecoder, decodesOpus } from "./opus.js";
import { Prompts } from "./prompts.js";
import { Ring } from "./ring.js";
import { Meter, Spectrogram } from "./scope.js";

const element = (id) => document.getElementById(id);
const DESCRIBE_MS = 4000;
const PCM = "pcm_s16le";
const SUPERSEDED = "superseded";
const TRIM_SHOWN = 5e-4;
const SILENT = { playing: false, position: null, peak: 0, rms: 0, underruns: 0, played: 0, fillMs: 0, targetMs: 0 };

class Page {
  constructor() {
    this.ring = new Ring(element("ring"));
    this.meter = new Meter(element("meter"));
    this.spectrogram = new Spectrogram(element("spectrogram"));
    this.board = new Board(({ name, kind }, value, asked) =>
      this.ask({ name, kind, asked }, (feed) => feed.set(name, value)),
    );
    this.prompts = new Prompts(element("prompts"), element("add-prompt"), (prompts, asked) =>
      this.ask({ name: "prompts", kind: "idea", asked }, (feed) => feed.prompt(prompts)),
    );
    this.heard = new Heard((change) => this.tell(change));
    this.stats = SILENT;
    this.reported = this.drawn = performance.now();
    this.received = 0;
    this.codec = new URLSearchParams(location.search).get("codec") ?? PCM;
    this.token = new URLSearchParams(location.hash.slice(1)).get("token");
    element("start").addEventListener("click", () => this.toggle());
    element("token-form").addEventListener("submit", (event) => this.useToken(event));
    addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("visibilitychange", () => this.running && this.context.resume());
    addEventListener("online", () => this.feed?.hurry());
    setInterval(() => this.ring.canvas.setAttribute("aria-label", this.ring.describe()), DESCRIBE_MS);
    requestAnimationFrame((now) => this.draw(now));
    this.introduction = this.introduce();
    if (new URLSearchParams(location.search).has("kiosk")) kiosk(this);
  }

  async introduce() {
    const info = await (await fetch("info")).json();
    this.ring.layout(info.window, info.audio.sample_rate_hz);
    this.board.build(info.controls, info.prompting);
    const offered = info.codecs?.includes("opus") && (await decodesOpus(info.audio.channels));
    if (this.codec === "opus" && !offered) this.codec = PCM;
    const codec = this.codec === PCM ? "" : ` · ${this.codec}`;
    element("bundle").textContent = `${info.bundle.name} ${info.bundle.version}${codec}`;
    this.info = info;
  }

  // ---- start and stop -----------------------------------------------------------------------

  get running() {
    return this.feed?.wanted ?? false;
  }

  toggle() {
    if (this.running) this.stop();
    else this.start();
  }

  // The audio graph is made within the click, which is what lets sound begin.
  async start() {
    if (!this.info) await (this.introduction = this.introduce());
    if (this.running) return;
    this.prepare(this.info.audio);
    const url = new URL(feedPath(location.search), location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.search = url.hash = "";
    const on = {
      hello: (hello) => this.greet(hello),
      packet: (packet) => this.arrive(packet),
      message: (message) => this.listen(message),
      status: (text, state) => this.status(text, state),
    };
    this.feed = new Feed(url.href, on, { codec: this.codec, token: this.token });
    this.feed.open();
    this.show(true);
  }

  stop() {
    this.feed.close();
    this.context.suspend();
    this.stats = SILENT;
    this.meter.show(SILENT);
    this.show(false);
  }

  show(running) {
    document.body.dataset.running = running;
    element("start-text").textContent = running ? "Stop" : "Start";
    this.board.enable(running);
  }

  status(text, state) {
    document.body.dataset.state = state;
    element("status-text").textContent = text;
    element("token-form").hidden = state !== "token";
    if (state !== "token") return;
    this.stop();
    document.body.dataset.state = state;
    element("status-text").textContent = text;
    element("token-form").hidden = false;
    element("token").focus();
  }

  useToken(event) {
    event.preventDefault();
    this.token = element("token").value;
    this.start();
  }

  /** Player, analyser and speakers, made once for a format; Opus is played at its own rate. */
  prepare({ sample_rate_hz: rate, channels }) {
    const format = `${rate}/${channels}/${this.codec}`;
    if (this.format === format) return void this.context.resume();
    this.context?.close();
    this.format = format;
    this.rate = rate;
    document.body.dataset.codec = this.codec;
    const opus = this.codec === "opus";
    const playedRate = opus ? OPUS_RATE : rate;
    this.stretch = playedRate / rate;
    this.decoder = new OpusDecoder((packet) => this.hear(packet));
    this.context = new AudioContext({ sampleRate: playedRate, latencyHint: "interactive" });
    this.player = this.connect(this.context, playedRate, opus ? Math.min(2, channels) : channels);
    unlock(this.context, (locked) => (element("locked").hidden = !locked));
  }

  async connect(context, rate, channels) {
    await context.audioWorklet.addModule("worklet.js");
    const node = new AudioWorkletNode(context, "player", {
      numberOfInputs: 0,
      outputChannelCount: [channels],
      processorOptions: { rate, channels },
    });
    const analyser = new AnalyserNode(context, { fftSize: 1024, smoothingTimeConstant: 0 });
    node.connect(analyser).connect(context.destination);
    node.port.onmessage = ({ data }) => ("mark" in data ? this.sound(data, context) : this.played(data));
    this.spectrogram.listen(analyser);
    return node;
  }

  // ---- what the server says -----------------------------------------------------------------

  greet(hello) {
    if (!hello.codecs.includes(this.codec)) this.codec = this.feed.codec = PCM;
    this.prepare(hello.audio);
    this.ring.layout(hello.window, this.rate);
    this.board.build(hello.controls, hello.prompting);
    this.heard.forget();
  }

  arrive(packet) {
    packet.marks = this.heard.arrive(packet, performance.now());
    if (packet.payload) this.decoder.decode(packet);
    else this.hear(packet);
  }

  async hear(packet) {
    this.received++;
    this.ring.hear(packet);
    const node = await this.player;
    const position = Math.round(packet.position * this.stretch);
    const frames = Math.round(packet.frames * this.stretch);
    const marks = packet.marks.map(({ id, offset }) => ({ id, offset: Math.round(offset * this.stretch) }));
    node.port.postMessage({ ...packet, payload: null, position, frames, marks }, [packet.samples.buffer]);
  }

  listen(message) {
    if (message.type === "state") {
      this.state = message;
      this.ring.update(message);
      this.board.update(message.controls);
    } else if (message.type === "start" || message.type === "prompts") {
      if (message.role) this.board.enable(this.running, message.role);
      if (message.stage) this.board.answer(`${message.stage} holds the stage`);
      this.prompts.update(message.prompts);
    } else if (message.type === "error" && message.id === null) {
      this.board.answer(message.message, true);
    }
  }

  // ---- what the player says -----------------------------------------------------------------

  played(stats) {
    if (!this.running) return;
    this.stats = { ...stats, position: stats.position / this.stretch };
    this.reported = performance.now();
    this.meter.show(stats);
  }

  /** A mark was played at `time` of the context's clock: when does that come out of the device? */
  sound({ mark, time }, context) {
    const { contextTime, performanceTime } = context.getOutputTimestamp();
    this.heard.sound(mark, performanceTime + 1000 * (time - contextTime));
  }

  /** Say when a control was heard: here, and in the browser's own timeline (User Timing). */
  tell({ name, kind, revision, asked, arrived, sounded }) {
    this.board.answer(`${name}: heard after ${((sounded - asked) / 1000).toFixed(2)} s`);
    const label = `${kind} to sound`;
    performance.clearMeasures(label);
    performance.measure(label, { start: asked, end: sounded, detail: { name, kind, revision, arrived } });
  }

  /** The sample that sounds at a time, between two reports of the player. */
  position(now) {
    const { playing, position } = this.stats;
    if (position === null) return null;
    return position + (playing ? (this.rate * (now - this.reported)) / 1000 : 0);
  }

  // ---- what people do -----------------------------------------------------------------------

  async ask(change, send) {
    try {
      this.heard.expect({ ...(await send(this.feed)), ...change });
    } catch (problem) {
      if (problem.code !== SUPERSEDED) this.board.answer(problem.message, true);
    }
  }

  key(event) {
    if (event.metaKey || event.ctrlKey || event.altKey || event.repeat) return;
    if (event.target.matches("input, select")) return;
    if (event.key !== " ") return this.board.key(event.key.toLowerCase());
    if (event.target.matches("button, summary")) return;
    event.preventDefault();
    this.toggle();
  }

  // ---- what is seen -------------------------------------------------------------------------

  draw(now) {
    const elapsed = Math.min(0.1, (now - this.drawn) / 1000);
    this.drawn = now;
    const position = this.running ? this.position(now) : null;
    this.ring.draw(position, this.stats.rms, elapsed);
    if (this.running && this.stats.playing) this.spectrogram.draw(elapsed);
    this.board.show(this.figures(position));
    requestAnimationFrame((next) => this.draw(next));
  }

  figures(position) {
    const { stats, state, context } = this;
    element("clock").textContent = position === null ? "" : clock(position / this.rate);
    element("now").textContent = this.ring.heard === null ? "" : this.ring.caption();
    const latency = stats.fillMs + 1000 * ((context?.baseLatency ?? 0) + (context?.outputLatency ?? 0));
    const slow = state && state.tick_ms > state.budget_ms;
    const tight = state && state.deadline_misses && state.spare_ms <= 0;
    const trim = Math.abs(stats.trim ?? 0) > TRIM_SHOWN ? ` ${(100 * stats.trim).toFixed(2)} %` : "";
    return {
      buffer: `${stats.fillMs.toFixed(0)} / ${stats.targetMs.toFixed(0)} ms${trim}`,
      latency: `${latency.toFixed(0)} ms`,
      underruns: [`${stats.underruns}`, stats.underruns ? "warn" : ""],
      "begun early": [state ? `${state.lead_ms.toFixed(0)} / ${state.spare_ms.toFixed(0)} ms` : "–", tight ? "bad" : ""],
      "a chunk takes": [state ? `${state.tick_ms.toFixed(0)} of ${state.budget_ms.toFixed(0)} ms` : "–", slow ? "bad" : ""],
      "late, held": [state ? `${state.deadline_misses}, ${state.holds}` : "–", state?.deadline_misses ? "warn" : ""],
      packets: `${this.received}`,
      samples: `${stats.played}`,
      listeners: state ? `${state.listeners}` : "–",
    };
  }
}

function clock(seconds) {
  const parts = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map(Math.floor);
  const [hours, minutes, rest] = parts.map((part) => String(part).padStart(2, "0"));
  return parts[0] ? `${parts[0]}:${minutes}:${rest}` : `${Number(minutes)}:${rest}`;
}

new Page();
