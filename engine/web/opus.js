// Opus to samples, by the browser's own decoder (WebCodecs: Chrome 94, Firefox 130, Safari 26).
// Browsers have it on pages from https or from this machine only.

export const OPUS_RATE = 48_000;

const config = (channels) => ({ codec: "opus", sampleRate: OPUS_RATE, numberOfChannels: channels });

/** Whether this browser decodes Opus here. */
export async function decodesOpus(channels) {
  if (!globalThis.AudioDecoder) return false;
  try {
    return (await AudioDecoder.isConfigSupported(config(channels))).supported;
  } catch {
    return false;
  }
}

export class OpusDecoder {
  /** `hear` is given each packet again, in its order, with `samples` at 48 kHz (interleaved). */
  constructor(hear) {
    this.hear = hear;
    this.waiting = [];
  }

  decode(packet) {
    if (this.decoder?.state !== "configured" || this.broken(packet)) this.begin(packet);
    this.waiting.push(packet);
    this.last = packet;
    const timestamp = Math.round((1e6 * packet.position) / packet.rate);
    this.decoder.decode(new EncodedAudioChunk({ type: "key", timestamp, data: packet.payload }));
  }

  broken({ epoch, channels }) {
    return epoch !== this.last.epoch || channels !== this.last.channels;
  }

  begin({ channels }) {
    if (this.decoder?.state === "configured") this.decoder.close();
    this.waiting = [];
    const decoder = new AudioDecoder({
      output: (audio) => this.decoder === decoder && this.decoded(audio),
      error: () => {}, // its state is "closed" then, and the next packet begins anew
    });
    decoder.configure(config(channels));
    this.decoder = decoder;
  }

  decoded(audio) {
    const packet = this.waiting.shift();
    const { numberOfFrames: frames, numberOfChannels: channels } = audio;
    const samples = new Float32Array(frames * channels);
    const side = new Float32Array(frames);
    for (let channel = 0; channel < channels; channel++) {
      audio.copyTo(side, { planeIndex: channel, format: "f32-planar" });
      for (let frame = 0; frame < frames; frame++) samples[frame * channels + channel] = side[frame];
    }
    audio.close();
    this.hear({ ...packet, samples });
  }
}
