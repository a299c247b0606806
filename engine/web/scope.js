// The level meter and the scrolling spectrogram.

const FLOOR_DB = -60;
const LOWEST_HZ = 40;
const COLUMNS_PER_S = 50;

function decibels(value) {
  return 20 * Math.log10(Math.max(value, 1e-6));
}

export class Meter {
  constructor(element) {
    this.element = element;
    [this.bar, this.mark] = element.children;
    this.peak = FLOOR_DB;
  }

  show({ peak, rms }) {
    this.peak = Math.max(decibels(peak), this.peak - 0.7);
    const level = Math.max(FLOOR_DB, decibels(rms));
    this.bar.style.clipPath = `inset(0 ${(100 * level) / FLOOR_DB}% 0 0)`;
    this.mark.style.left = `${100 * Math.max(0, Math.min(0.998, 1 - this.peak / FLOOR_DB))}%`;
    this.element.setAttribute("aria-valuenow", Math.round(level));
  }
}

export class Spectrogram {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.due = 0;
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
  }

  resize() {
    this.canvas.width = Math.max(1, this.canvas.clientWidth);
    this.canvas.height = Math.max(1, this.canvas.clientHeight);
    this.context.fillStyle = "#090b0e";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  listen(analyser) {
    this.analyser = analyser;
    this.bins = new Uint8Array(analyser.frequencyBinCount);
  }

  /** Add as many columns as `elapsed` seconds call for. */
  draw(elapsed) {
    if (!this.analyser) return;
    this.due = Math.min(8, this.due + elapsed * COLUMNS_PER_S);
    const columns = Math.floor(this.due);
    if (!columns) return;
    this.due -= columns;
    this.analyser.getByteFrequencyData(this.bins);
    const { width, height } = this.canvas;
    this.context.drawImage(this.canvas, -columns, 0);
    for (let row = 0; row < height; row++) {
      this.context.fillStyle = heat(this.at(1 - row / height) / 255);
      this.context.fillRect(width - columns, row, columns, 1);
    }
  }

  // The loudest bin of a row, on a logarithmic frequency axis.
  at(share) {
    const highest = this.analyser.context.sampleRate / 2;
    const hertz = (part) => LOWEST_HZ * (highest / LOWEST_HZ) ** part;
    const bin = (part) => Math.min(this.bins.length - 1, (hertz(part) / highest) * this.bins.length);
    const from = bin(share);
    const to = bin(Math.min(1, share + 1 / this.canvas.height));
    let most = 0;
    for (let index = Math.floor(from); index <= Math.floor(to); index++) most = Math.max(most, this.bins[index]);
    return most;
  }
}

// Ink, steel, amber, paper.
function heat(value) {
  const stops = [[9, 11, 14], [42, 58, 70], [240, 140, 70], [255, 236, 200]];
  const scaled = Math.min(0.999, value ** 1.5) * 3;
  const low = Math.floor(scaled);
  const mix = stops[low].map((from, index) => from + (stops[low + 1][index] - from) * (scaled - low));
  return `rgb(${mix.map(Math.round).join(",")})`;
}
