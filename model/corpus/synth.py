"""FluidSynth and its SoundFont: found, run on one part at a time, mixed at one gain."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.corpus.midi import write_midi
from model.corpus.song import Part, Song

SAMPLE_RATE_HZ = 48_000
LOUDNESS_DB = -18.0
PEAK = 0.97
_SYNTH_GAIN = "0.4"
_USUAL = (
    "/usr/share/sounds/sf2/FluidR3_GM.sf2",
    "/usr/share/soundfonts/FluidR3_GM.sf2",
    "/usr/share/sounds/sf2/default-GM.sf2",
    "/usr/local/share/soundfonts/FluidR3_GM.sf2",
    "/opt/homebrew/share/soundfonts/FluidR3_GM.sf2",
)

Audio = NDArray[np.float32]


class SynthError(RuntimeError):
    """FluidSynth or its SoundFont is missing, or a rendering failed; one line with the cure."""


@dataclass(frozen=True)
class Synth:
    """The program and the SoundFont that play the corpus."""

    program: str
    soundfont: str


def find_synth(soundfont: str | None = None) -> Synth:
    """Find FluidSynth on the PATH and a SoundFont.

    The SoundFont is `soundfont`, else the environment's PERPETUO_SOUNDFONT, else the first of
    the usual places. Raises SynthError saying what to install.
    """
    program = shutil.which("fluidsynth")
    if program is None:
        raise SynthError("fluidsynth is not installed: apt install fluidsynth fluid-soundfont-gm")
    wanted = soundfont or os.environ.get("PERPETUO_SOUNDFONT")
    places = (wanted,) if wanted else _USUAL
    found = next((place for place in places if place and Path(place).is_file()), None)
    if found is None:
        raise SynthError(
            f"no SoundFont at {' or '.join(map(str, places))}: apt install fluid-soundfont-gm, "
            "or name one with --soundfont or PERPETUO_SOUNDFONT"
        )
    return Synth(program, found)


def play_part(synth: Synth, song: Song, part: Part) -> Audio:
    """Render one part -> float32[samples, 2] at 48 kHz, exactly as long as the song."""
    with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
        midi, raw = Path(folder, "part.mid"), Path(folder, "part.raw")
        write_midi(song, part, midi)
        options = [
            "synth.dynamic-sample-loading=1",
            "synth.chorus.active=0",
            "synth.cpu-cores=1",
            "synth.polyphony=128",
        ]
        command = [
            synth.program,
            "-niq",
            "-F",
            str(raw),
            "-T",
            "raw",
            "-O",
            "float",
            "-r",
            str(SAMPLE_RATE_HZ),
            "-g",
            _SYNTH_GAIN,
        ]
        command += [word for option in options for word in ("-o", option)]
        done = subprocess.run(
            [*command, synth.soundfont, str(midi)], capture_output=True, text=True, check=False
        )
        complaint = next((line for line in done.stderr.splitlines() if "error" in line), None)
        if done.returncode != 0 or complaint or not raw.is_file():
            raise SynthError(f"fluidsynth failed with {synth.soundfont}: {complaint}")
        audio = np.fromfile(raw, dtype=np.float32).reshape(-1, 2)
    samples = round(song.duration_s * SAMPLE_RATE_HZ)
    if len(audio) < samples:
        audio = np.pad(audio, ((0, samples - len(audio)), (0, 0)))
    return audio[:samples]


def active_rms(audio: Audio, window_s: float = 0.05) -> float:
    """RMS of the windows that sound (within 40 dB of the loudest); 0 for silence."""
    window = round(window_s * SAMPLE_RATE_HZ)
    count = len(audio) // window
    power = np.square(audio[: count * window].reshape(count, -1)).mean(axis=1)
    if count == 0 or power.max() <= 0:
        return 0.0
    return float(np.sqrt(power[power > power.max() * 1e-4].mean()))


@dataclass(frozen=True)
class Rendering:
    """Stems after their gains, their sum, and the gains in dB; float32[samples, 2] each."""

    mix: Audio
    stems: dict[str, Audio]
    gains_db: dict[str, float]


def render(synth: Synth, song: Song) -> Rendering:
    """Play every part, balance them by the song's levels and scale all by one common gain.

    The mix has an RMS of -18 dBFS, or less where its peak would pass 0.97.
    """
    stems: dict[str, Audio] = {}
    gains: dict[str, float] = {}
    for part in song.parts:
        audio = play_part(synth, song, part)
        gains[part.name] = 10 ** (part.level_db / 20) / max(active_rms(audio), 1e-6)
        stems[part.name] = audio * np.float32(gains[part.name])
    mix: Audio = np.asarray(sum(stems.values()), dtype=np.float32)
    rms, peak = float(np.sqrt(np.square(mix).mean())), float(np.abs(mix).max())
    common = min(10 ** (LOUDNESS_DB / 20) / max(rms, 1e-9), PEAK / max(peak, 1e-9))
    stems = {name: audio * np.float32(common) for name, audio in stems.items()}
    decibels = {name: 20 * float(np.log10(gain * common)) for name, gain in gains.items()}
    return Rendering(mix * np.float32(common), stems, decibels)
