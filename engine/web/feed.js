// The connection to /feed: protocol perpetuo.v1, reconnecting with full jitter.
// docs/protocol.md describes the messages.

const SUBPROTOCOL = "perpetuo.v1";
const HEADER_BYTES = 40;
const PCM_S16LE = 1;
const OPUS = 3;
const RETRY_FIRST_MS = 500;
const RETRY_LONGEST_MS = 30_000;
const SILENCE_MS = 12_000;
const BAD_TOKEN = 4401;
const FULL = 1013;
const SESSION_ENDED = [4404, 4410];

/** Header and samples (interleaved Float32Array) of one audio packet; null if it is none.
 *  A packet of Opus has a `payload` in the place of the samples: see opus.js. */
export function readPacket(buffer) {
  if (buffer.byteLength < HEADER_BYTES) return null;
  const view = new DataView(buffer);
  if (view.getUint16(0) !== 0x5050 || view.getUint8(2) !== 1) return null;
  const flags = view.getUint16(38, true);
  const codec = view.getUint8(3);
  return {
    epoch: view.getUint32(4, true),
    sequence: view.getUint32(8, true),
    frames: view.getUint32(12, true),
    position: Number(view.getBigUint64(16, true)),
    ideaRevision: view.getUint32(24, true),
    handRevision: view.getUint32(28, true),
    rate: view.getUint32(32, true),
    channels: view.getUint16(36, true),
    filler: (flags & 1) !== 0,
    replay: (flags & 2) !== 0,
    payload: codec === OPUS ? new Uint8Array(buffer, HEADER_BYTES) : null,
    samples: codec === OPUS ? null : readSamples(buffer, codec),
  };
}

function readSamples(buffer, codec) {
  if (codec !== PCM_S16LE) return new Float32Array(buffer, HEADER_BYTES);
  return Float32Array.from(new Int16Array(buffer, HEADER_BYTES), (value) => value / 32767);
}

/** A wait drawn between nothing and a bound that doubles up to 30 s (full jitter). */
export function retryDelay(attempt, random = Math.random) {
  return random() * Math.min(RETRY_LONGEST_MS, RETRY_FIRST_MS * 2 ** attempt);
}

/** Where the feed is, by the page's address: `?session` conducts, `?session=NAME` listens along. */
export function feedPath(search) {
  const word = new URLSearchParams(search).get("session");
  if (word === null) return "feed";
  return word ? `session/${encodeURIComponent(word)}` : "session";
}

export class Feed {
  /** `on` holds functions: hello, packet, message, status(text, state). */
  constructor(url, on, { codec = "pcm_s16le", token = null } = {}) {
    Object.assign(this, { url, on, codec, token, first: url });
    this.attempt = 0;
    this.nextId = 1;
    this.asked = new Map();
  }

  open() {
    this.wanted = true;
    clearTimeout(this.retry);
    this.retry = null;
    this.on.status("connecting", "waiting");
    const socket = new WebSocket(this.url, SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event) => socket === this.socket && this.receive(event.data);
    socket.onclose = (event) => socket === this.socket && this.closed(event.code);
    this.socket = socket;
    this.watch();
  }

  close() {
    this.wanted = false;
    clearTimeout(this.retry);
    clearTimeout(this.silence);
    this.socket?.close(1000);
    this.socket = null;
    this.on.status("silent", "idle");
  }

  /** Do not wait for the next attempt: the network is back. */
  hurry() {
    if (this.wanted && this.retry) this.open();
  }

  /** Ask for a control; resolves with the acknowledgement, or rejects with the typed error. */
  set(name, value) {
    return this.ask({ type: "set", name, value });
  }

  /** Ask for these prompts instead of those before, in the same way. */
  prompt(prompts) {
    return this.ask({ type: "prompts", prompts });
  }

  ask(message) {
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      if (!this.say({ ...message, id })) return reject(new Error("not connected"));
      this.asked.set(id, { resolve, reject });
    });
  }

  say(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  receive(data) {
    this.watch();
    if (typeof data !== "string") {
      const packet = readPacket(data);
      if (packet) this.on.packet(packet);
      return;
    }
    const message = JSON.parse(data);
    if (message.type === "hello") this.greet(message);
    else if (message.type === "start") this.begin(message.session);
    else if (message.type === "ack") this.settle(message, "resolve", message);
    else if (message.type === "error") this.settle(message, "reject", Object.assign(new Error(message.message), { code: message.code }));
    this.on.message(message);
  }

  // After a lost connection the same session goes on.
  begin(session) {
    this.attempt = 0;
    if (session) this.url = this.first.replace(/session.*$/, `session/${session.key ?? session.name}`);
  }

  greet(hello) {
    this.on.hello(hello);
    this.on.status("live", "live");
    this.say({ type: "hello", protocol: 1, codec: this.codec, token: this.token });
  }

  settle(message, how, value) {
    this.asked.get(message.id)?.[how](value);
    this.asked.delete(message.id);
  }

  closed(code) {
    clearTimeout(this.silence);
    for (const { reject } of this.asked.values()) reject(new Error("connection lost"));
    this.asked.clear();
    if (!this.wanted) return;
    if (code === BAD_TOKEN) return this.on.status("token needed", "token");
    if (SESSION_ENDED.includes(code)) {
      if (this.url === this.first) return this.end("the session has ended");
      this.url = this.first; // one's own: the next attempt begins another
    }
    const delay = retryDelay(this.attempt++);
    const why = code === FULL ? "no room, " : "";
    this.on.status(`${why}reconnecting in ${(delay / 1000).toFixed(1)} s`, "waiting");
    this.retry = setTimeout(() => this.open(), delay);
  }

  end(why) {
    this.wanted = false;
    this.on.status(why, "idle");
  }

  // A feed that says nothing for 12 s is gone, whatever TCP believes.
  watch() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      const gone = this.socket;
      this.socket = null;
      gone?.close();
      this.closed(0);
    }, SILENCE_MS);
  }
}
