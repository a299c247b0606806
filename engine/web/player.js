// The page: puts the feed, the player, the ring and the controls together.

import { Feed } from "./feed.js";
import { Ring } from "./ring.js";
import { Meter, Spectrogram } from "./scope.js";
import { Board } from "./board.js";

const element = (id) => document.getElementById(id);
const DESCRIBE_MS = 4000;
const STATS = { playing: false, position: null, peak: 0, rms: 0, underruns: 0, played: 0 };

class Page {
  constructor() {
    this.ring = new Ring(element("ring"));
    this.meter = new Meter(element("meter"));
    this.spectrogram = new Spectrogram(element("spectrogram"));
    this.board = new Board((name, value) => this.set(name, value));
    this.stats = { ...STATS };
    this.received = 0;
    this.waiting = [];
    this.token = new URLSearchParams(location.hash.slice(1)).get("token");
    this.drawn = performance.now();
    element("start").addEventListener("click", () => this.toggle());
    element("token-form").addEventListener("submit", (event) => this.useToken(event));
    addEventListener("keydown", (event) => this.key(event));
    addEventListener("online", () => this.feed?.hurry());
    setInterval(() => this.ring.canvas.setAttribute("aria-label", this.ring.describe()), DESCRIBE_MS);
    requestAnimationFrame((now) => this.draw(now));
    this.introduce();
  }

  async introduce() {
    try {
      const info = await (await fetch("info")).json();
      element("bundle").textContent = `${info.bundle.name} ${info.bundle.version}`;
      this.ring.layout(info.window);
    } catch {
      this.status("no server", "idle");
    }
  }

  get running() {
    return this.feed?.wanted ?? false;
  }

  toggle() {
    if (this.running) this.stop();
    else this.start();
  }

  // Runs inside the click, so that the browser lets sound begin.
  start() {
    const path = new URL("feed", location.href);
    path.protocol = path.protocol.replace("http", "ws");
    path.hash = "";
    const codec = new URLSearchParams(location.search).get("codec") ?? "pcm_s16le";
    const on = {
      hello: (hello) => this.greet(hello),
      packet: (packet) => this.hear(packet),
      message: (message) => this.listen(message),
      status: (text, state) => this.status(text, state),
    };
    this.feed = new Feed(path.href, on, { codec, token: this.token });
    this.context?.resume();
    this.feed.open();
    this.running_(true);
  }

  stop() {
    this.feed.close();
    this.context?.suspend();
    this.running_(false);
  }

  running_(running) {
    document.body.dataset.running = running;
    element("start-text").textContent = running ? "Stop" : "Start";
    this.board.enable(running);
  }

  status(text, state) {
    document.body.dataset.state = state;
    element("status-text").textContent = text;
    element("token-form").hidden = state !== "token";
    if (state === "token") {
      this.running_(false);
      element("token").focus();
    }
  }

  useToken(event) {
    event.preventDefault();
    this.token = element("token").value;
    this.feed?.close();
    this.start();
  }

  greet(hello) {
    this.ring.layout(hello.window);
    this.board.build(hello.controls);
    this.rate = hello.audio.sample_rate_hz;
    this.player ??= this.prepare(hello.audio);
  }

  /** The audio graph: player, analyser, speakers; made once, for the format of the feed. */
  async prepare({ sample_rate_hz: rate, channels }) {
    this.context = new AudioContext({ sampleRate: rate, latencyHint: "interactive" });
    await this.context.audioWorklet.addModule("worklet.js");
    const node = new AudioWorkletNode(this.context, "player", {
      numberOfInputs: 0,
      outputChannelCount: [channels],
      processorOptions: { rate, channels },
    });
    const analyser = new AnalyserNode(this.context, { fftSize: 1024, smoothingTimeConstant: 0 });
    node.connect(analyser).connect(this.context.destination);
    node.port.onmessage = ({ data }) => this.played(data);
    this.spectrogram.listen(analyser);
    return node;
  }

  async hear(packet) {
    this.received++;
    this.ring.hear(packet);
    const node = await this.player;
    node.port.postMessage(packet, [packet.samples.buffer]);
  }

  listen(message) {
    if (message.type === "state") {
      this.ring.update(message);
      this.board.update(message);
      this.state = message;
    } else if (message.type === "error") {
      this.board.answer(message.message, true);
    }
  }

  async set(name, value) {
    const asked = performance.now();
    try {
      const ack = await this.feed.set(name, value);
      this.waiting.push({ name, asked, at: ack.heard_at });
    } catch (problem) {
      this.board.answer(problem.message, true);
    }
  }

  played(stats) {
    this.stats = stats;
    this.meter.show(stats);
    while (this.waiting.length && stats.position >= this.waiting[0].at) {
      const { name, asked } = this.waiting.shift();
      this.board.answer(`${name} heard after ${((performance.now() - asked) / 1000).toFixed(2)} s`);
    }
  }

  key(event) {
    if (event.metaKey || event.ctrlKey || event.altKey || event.target.matches("input, textarea")) return;
    if (event.key === " " && !event.target.matches("button")) {
      event.preventDefault();
      this.toggle();
    } else {
      this.board.key(event.key.toLowerCase());
    }
  }

  draw(now) {
    const elapsed = Math.min(0.1, (now - this.drawn) / 1000);
    this.drawn = now;
    const sounding = this.running && this.stats.position !== null && this.state;
    this.ring.draw(sounding ? this.sounding(now) : null, this.stats.rms, elapsed);
    if (this.stats.playing && this.running) this.spectrogram.draw(elapsed);
    if (this.state) this.figures();
    requestAnimationFrame((next) => this.draw(next));
  }
}
