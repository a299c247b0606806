"""What is known of a song: the JSON beside its audio, with captions in words and tags."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from model.corpus.song import Part, Song
from model.corpus.styles import STYLES
from model.corpus.synth import SAMPLE_RATE_HZ, Audio, Rendering
from model.corpus.theory import NAMES

FORMAT = 1

INSTRUMENTS = {
    0: "piano", 4: "electric piano", 5: "electric piano", 7: "clavinet", 8: "celesta",
    11: "vibraphone", 16: "drawbar organ", 17: "percussive organ", 19: "church organ",
    22: "harmonica", 24: "nylon guitar", 25: "steel guitar", 26: "jazz guitar",
    27: "clean guitar", 28: "muted guitar", 32: "double bass", 33: "bass guitar",
    35: "fretless bass", 36: "slap bass", 37: "slap bass", 38: "synth bass", 39: "synth bass",
    40: "violin", 42: "cello", 46: "harp", 48: "strings", 49: "slow strings",
    50: "synth strings", 52: "choir", 56: "trumpet", 57: "trombone", 58: "tuba",
    60: "french horn", 61: "brass section", 62: "synth brass", 65: "alto saxophone",
    66: "tenor saxophone", 68: "oboe", 70: "bassoon", 71: "clarinet", 73: "flute",
    75: "pan flute", 80: "square synth", 81: "saw synth", 82: "calliope synth",
    87: "bass synth", 89: "warm pad", 90: "polysynth", 91: "space pad", 94: "halo pad",
    98: "crystal synth", 108: "kalimba",
}  # fmt: skip
_MERGE_GAP_S = 2.0


def instrument(part: Part) -> str:
    """The everyday name of what plays a part."""
    return "drums" if part.drums else INSTRUMENTS[part.program]


def active_intervals(song: Song, part: Part) -> list[tuple[float, float]]:
    """Stretches in seconds in which a part plays; pauses under 2 s do not part them."""
    spans: list[list[float]] = []
    for note in part.notes:
        start = note.start * 60 / song.bpm
        end = min((note.start + note.beats) * 60 / song.bpm, song.duration_s)
        if spans and start - spans[-1][1] < _MERGE_GAP_S:
            spans[-1][1] = max(spans[-1][1], end)
        else:
            spans.append([start, end])
    return [(round(a, 3), round(b, 3)) for a, b in spans]


def density_by_bar(song: Song) -> list[float]:
    """Note onsets a second in every bar; a chord struck together counts once."""
    seconds = song.beats_per_bar * 60 / song.bpm
    onsets = {(part.name, round(n.start * 8)) for part in song.parts for n in part.notes}
    counts = np.zeros(song.bars)
    for _, eighth in onsets:
        counts[min(int(eighth / 8 // song.beats_per_bar), song.bars - 1)] += 1
    return [round(float(count) / seconds, 2) for count in counts]


def brightness_by_bar(song: Song, mix: Audio) -> list[float]:
    """Spectral centroid in Hz of every bar of the mix."""
    mono = mix.mean(axis=1)
    edges = np.round(
        np.arange(song.bars + 1) * song.beats_per_bar * 60 / song.bpm * SAMPLE_RATE_HZ
    ).astype(int)
    values = []
    for begin, end in pairwise(edges):
        power = np.abs(np.fft.rfft(mono[begin:end])) ** 2
        hz = np.fft.rfftfreq(end - begin, 1 / SAMPLE_RATE_HZ)
        values.append(round(float((hz * power).sum() / max(power.sum(), 1e-12)), 1))
    return values


def _tempo_word(bpm: float) -> str:
    words = ((72, "very slow"), (90, "slow"), (112, "medium-tempo"), (140, "upbeat"))
    return next((word for limit, word in words if bpm < limit), "fast")


def _colour(centroid_hz: float) -> str:
    return "dark" if centroid_hz < 450 else "warm" if centroid_hz < 900 else "bright"


def _fullness(density: float) -> str:
    return "sparse" if density < 5 else "flowing" if density < 11 else "busy"


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def describe(song: Song, density: float, centroid_hz: float) -> tuple[list[str], list[str]]:
    """(captions, tags) of a song from what was composed and how bright it came out."""
    names = list(dict.fromkeys(instrument(part) for part in song.parts))
    style = STYLES.get(song.style)
    feel = list(style.words) if style else ["solemn", "four-part", "baroque"]
    key = f"{NAMES[song.keys[0].tonic]} {song.keys[0].mode}"
    tempo, colour, full = _tempo_word(song.bpm), _colour(centroid_hz), _fullness(density)
    lead = next((instrument(p) for p in song.parts if p.name in ("lead", "soprano")), names[0])
    captions = [
        f"{tempo} {song.style} with {_and(names)}",
        f"{colour}, {feel[0]} {song.style} at {song.bpm:g} bpm in {key}",
        f"a {full} {song.style} piece, {feel[0]} and {feel[1]}, led by {lead}",
        f"{_and(names[:3])} playing {feel[-1]} {song.style} in {key}",
    ]
    if len(song.keys) > 1:
        captions.append(f"{song.style} in {key} that changes key, {tempo} and {colour}")
    return captions, [song.style, *feel, *names, tempo, colour, full, key, f"{song.bpm:g} bpm"]


def truth_of(song: Song, rendering: Rendering) -> dict[str, Any]:
    """The content of a song's JSON; times in seconds, chords one a beat, gains in dB."""
    beat_s = 60 / song.bpm
    density, brightness = density_by_bar(song), brightness_by_bar(song, rendering.mix)
    captions, tags = describe(song, float(np.mean(density)), float(np.median(brightness)))
    return {
        "format": FORMAT,
        "seed": song.seed,
        "index": song.index,
        "style": song.style,
        "bpm": song.bpm,
        "beats_per_bar": song.beats_per_bar,
        "bars": song.bars,
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "samples": len(rendering.mix),
        "duration_s": round(song.duration_s, 6),
        "loudness_db": round(10 * float(np.log10(np.square(rendering.mix).mean() + 1e-12)), 2),
        "keys": [
            {"start_s": round(k.start * beat_s, 4), "tonic": NAMES[k.tonic], "mode": k.mode}
            for k in song.keys
        ],
        "sections": [
            {
                "label": s.label,
                "start_s": round(s.start * beat_s, 4),
                "end_s": round(s.end * beat_s, 4),
                "energy": s.energy,
                "layers": list(s.layers),
            }
            for s in song.sections
        ],
        "chords": [song.chord_at(float(beat)).symbol for beat in range(song.beats)],
        "stems": {
            part.name: {
                "instrument": instrument(part),
                "program": part.program,
                "gain_db": round(rendering.gains_db[part.name], 2),
                "active_s": active_intervals(song, part),
            }
            for part in song.parts
        },
        "density_hz": round(float(np.mean(density)), 2),
        "density_hz_by_bar": density,
        "brightness_hz": round(float(np.median(brightness)), 1),
        "brightness_hz_by_bar": brightness,
        "captions": captions,
        "tags": tags,
    }
