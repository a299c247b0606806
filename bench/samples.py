"""`python -m bench.samples`: the sounds of the README's listening table, and pictures of them.

Every style from nothing, a change of style, music from nothing, and recordings that are continued;
each an Ogg Vorbis file of what the bundle plays, and sheets of spectrograms with pitch and onsets.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from bench import plots
from bench.command import answered, bundle_options, opened
from bench.playing import Format
from engine.backends import Backend
from engine.bundle import Bundle
from engine.controls import Controls
from engine.generator import Generator
from engine.prompts import Prompt, Prompts
from engine.session import Floats
from model.corpus.labels import STYLE_NAMES
from model.corpus.recordings import read_recording

STYLE_S, CHANGE_S, WHOLE_S = 20.0, 12.0, 24.0
"""Of a style, of each half of a change, and of a recording with what goes on behind it."""
FADE_S = 0.05
CHANGE = ("jazz", "house")


@dataclass(frozen=True)
class Sample:
    """What is played: prompts one after the other, each for so long, behind a recording or not."""

    file: str
    title: str
    parts: tuple[tuple[str, float], ...]
    take: Floats | None = None


def styles() -> list[Sample]:
    """All of them, by their names alone."""
    return [
        Sample(f"style-{name.replace(' hip-hop', '').replace(' ', '-')}", name, ((name, STYLE_S),))
        for name in STYLE_NAMES
    ]


def others(takes: Sequence[tuple[str, Floats]], rate_hz: int) -> list[Sample]:
    """A change, recordings that go on, and nothing."""
    jazz, house = CHANGE
    continued = [
        Sample(name, f"{name}, continued", (("", WHOLE_S - len(take) / rate_hz),), take)
        for name, take in takes
    ]
    change = Sample("change", f"{jazz}, then {house}", ((jazz, CHANGE_S), (house, CHANGE_S)))
    return [change, *continued, Sample("nothing", "nothing", (("", STYLE_S),))]


class Stage:
    """Plays samples of one bundle."""

    def __init__(self, bundle: Bundle, backend: Backend, seed: int) -> None:
        self._bundle, self._backend, self._seed = bundle, backend, seed
        self._prompts = Prompts(bundle, backend)
        self.format = Format(bundle)
        self.rate_hz = bundle.manifest.audio.sample_rate_hz

    def play(self, sample: Sample) -> Floats:
        """float32 [samples, channels], as long as its parts, the take in front, faded out."""
        generator = Generator(self._bundle, self._backend, seed=self._seed)
        generator.prime(sample.take)
        controls = Controls(self._bundle.manifest.controls)
        blocks = [] if sample.take is None else [sample.take]
        made = end = sum(len(block) for block in blocks)
        for text, seconds in sample.parts:
            controls.set_prompt(self._prompts.embed([Prompt(text=text)] if text else []))
            end += round(seconds * self.rate_hz)
            while made < end:
                blocks.append(generator.tick(controls.snapshot()).audio)
                made += len(blocks[-1])
        audio = np.clip(np.concatenate(blocks)[:end], -1.0, 1.0)
        fade = round(FADE_S * self.rate_hz)
        audio[-fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)[:, None]
        return audio


def mark_s(sample: Sample, rate_hz: int) -> float | None:
    """Where in it the music changes hands: the end of a recording, or of the first part."""
    if sample.take is not None:
        return len(sample.take) / rate_hz
    return sample.parts[0][1] if len(sample.parts) > 1 else None


def write(stage: Stage, samples: Sequence[Sample], out: Path, sheet: str) -> None:
    """Play them into `out`, and draw a sheet of that name."""
    drawn = {}
    for sample in tqdm(samples, unit="sample", desc=sheet, disable=None):
        audio = stage.play(sample)
        soundfile.write(out / f"{sample.file}.ogg", audio, stage.rate_hz, "VORBIS", format="OGG")
        drawn[sample.title] = stage.format.measured(audio), mark_s(sample, stage.rate_hz)
    plots.sheet(out / f"{sheet}.png", drawn, stage.format.rate_hz)


def main(argv: Sequence[str] | None = None) -> int:
    """0, or the error's code."""
    shaped = bundle_options("samples", (__doc__ or "").partition("\n\n")[0])
    shaped.add_argument("--take", nargs=4, action="append", default=[],
                        metavar=("NAME", "FILE", "FROM_S", "SECONDS"),
                        help="a recording to go on from; again for more")  # fmt: skip
    shaped.add_argument("--out", type=Path, default=Path("runs/samples"))
    shaped.add_argument("--seed", type=int, default=1)
    options = shaped.parse_args(argv)

    def work() -> int:
        bundle, backend = opened(options, prompting=True)
        stage = Stage(bundle, backend, options.seed)
        options.out.mkdir(parents=True, exist_ok=True)
        takes = [
            (name, cut(bundle, Path(file), float(start), float(seconds)))
            for name, file, start, seconds in options.take
        ]
        write(stage, styles(), options.out, "styles")
        write(stage, others(takes, stage.rate_hz), options.out, "others")
        return 0

    return answered("samples", work)


def cut(bundle: Bundle, file: Path, start_s: float, seconds: float) -> Floats:
    """A stretch of a recording as the bundle hears it; ValueError where there is none."""
    audio = bundle.manifest.audio
    rate_hz = audio.sample_rate_hz
    whole = read_recording(file, rate_hz, audio.channels)
    part = whole[round(start_s * rate_hz) : round((start_s + seconds) * rate_hz)]
    if not len(part) or seconds >= WHOLE_S:
        raise ValueError(f"{file} has {len(whole) / rate_hz:.1f} s; name a stretch of it shorter "
                         f"than {WHOLE_S:g} s")  # fmt: skip
    return np.ascontiguousarray(part)


if __name__ == "__main__":
    sys.exit(main())
