// The connection to /feed: protocol perpetuo.v1, reconnecting with full jitter.
// docs/protocol.md describes the messages.

const SUBPROTOCOL = "perpetuo.v1";
const HEADER_BYTES = 40;
const PCM_S16LE = 1;
const RETRY_FIRST_MS = 500;
const RETRY_LONGEST_MS = 30_000;
const SILENCE_MS = 12_000;
const BAD_TOKEN = 4401;

/** Header and samples (interleaved Float32Array) of one audio packet; null if it is none. */
export function readPacket(buffer) {
  if (buffer.byteLength < HEADER_BYTES) return null;
  const view = new DataView(buffer);
  if (view.getUint16(0) !== 0x5050 || view.getUint8(2) !== 1) return null;
  const flags = view.getUint16(38, true);
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
    samples: readSamples(buffer, view.getUint8(3)),
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

export class Feed {
  /** `on` holds functions: hello, packet, message, status(text, state). */
  constructor(url, on, { codec = "pcm_s16le", token = null } = {}) {
    Object.assign(this, { url, on, codec, token });
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
    else if (message.type === "start") this.attempt = 0;
    else if (message.type === "ack") this.settle(message, "resolve", message);
    else if (message.type === "error") this.settle(message, "reject", Object.assign(new Error(message.message), { code: message.code }));
    this.on.message(message);
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
    const delay = retryDelay(this.attempt++);
    this.on.status(`reconnecting in ${(delay / 1000).toFixed(1)} s`, "waiting");
    this.retry = setTimeout(() => this.open(), delay);
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
