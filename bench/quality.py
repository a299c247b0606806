"""`python -m bench.quality`: how a bundle sounds, in figures from fixed features, and in pictures.

From held-out songs of a prepared data folder: how faithful the autoencoder is; how far the
continuations are from held-out music, beside anchors of the same run; whether the seam is heard,
key and tempo are kept, and a stream without a prompt holds for ten minutes. Writes report.json,
report.md, pictures and sound into a folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from tqdm import tqdm

from bench import listening, machine, plots, wide
from bench.command import answered, bundle_options, opened
from bench.continuity import drift, self_similarity
from bench.features import embed_all
from bench.frechet import CONTINUATION, HELD_OUT, Scale
from bench.listening import Sides
from bench.markdown import render
from bench.material import Excerpt, HeldOut, held_out, takes
from bench.playing import Player
from bench.report import plain, publish
from bench.spectra import Array
from bench.verdict import QUALITY_BUDGETS, checks, passed
from engine.spec import AudioSpec

PROMPT_S, TRUTH_S = 8.0, 16.0
PICTURES = 6
WIDE_SONGS = 24


@dataclass(frozen=True)
class Extent:
    """How much is listened to."""

    songs_per_side: int
    drift_s: float


FULL, QUICK = Extent(24, 600.0), Extent(6, 60.0)


@dataclass(frozen=True)
class Heard:
    """Everything that was played for one report."""

    material: HeldOut
    takes: list[Excerpt]
    copied: list[Array]
    continued: list[Array]
    copied_takes: list[Array]
    continued_takes: list[Array]
    stream: Array
    kinds: dict[str, list[int]]


def listen(player: Player, material: HeldOut, recordings: list[Excerpt], extent: Extent) -> Heard:
    """Play: a copy and a continuation of every song and take, and one long stream from nothing."""
    both = [*material.prompted, *recordings]
    total_s = len(both) * TRUTH_S + extent.drift_s
    with tqdm(total=round(total_s), unit="s of music", disable=None) as bar:
        continued = [
            player.play(excerpt.prompt, TRUTH_S, seed, bar.update)
            for seed, excerpt in enumerate(both)
        ]
        stream = player.play(None, extent.drift_s, 0, bar.update)
    copied = [player.copy(np.concatenate([song.prompt, song.truth])) for song in both]
    count = len(material.prompted)
    music = {CONTINUATION: continued[:count], HELD_OUT: [song.truth for song in material.prompted],
             "from nothing": [stream]}  # fmt: skip
    kinds = {name: [kind for audio in pieces for kind in player.kinds(audio)]
             for name, pieces in music.items()}  # fmt: skip
    return Heard(
        material, recordings, copied[:count], continued[:count], copied[count:],
        continued[count:], stream, kinds,
    )  # fmt: skip


def embed_sides(heard: Heard, rate_hz: int) -> Sides:
    """Every side of the Fréchet distance, from the prompted songs and the reference."""
    songs = heard.material.prompted
    tails = [copy[len(song.prompt) :] for song, copy in zip(songs, heard.copied, strict=True)]
    return listening.sides(heard.material.reference, songs, heard.continued, tails, rate_hz)


def measure(heard: Heard, found: Sides, chunk_samples: int, rate_hz: int) -> dict[str, Any]:
    """All figures of the report but those of machine and bundle."""
    prompted, continued = heard.material.prompted, heard.continued
    kept, each = listening.kept_table(prompted, continued, rate_hz)
    return {
        "autoencoder": _copies(heard, rate_hz),
        "frechet": found.comparison(),
        "oddness": {side: found.oddness_in_time(side) for side in (CONTINUATION, HELD_OUT)},
        "kept": kept,
        "seam": listening.seam_table(prompted, continued, chunk_samples, rate_hz),
        "levels": listening.level_table(prompted, continued),
        "variety": {name: float(np.median(kinds)) for name, kinds in heard.kinds.items() if kinds},
        "drift": drift(heard.stream, rate_hz, found.scale),
        "songs": listening.song_rows(prompted, each),
    }


def _copies(heard: Heard, rate_hz: int) -> dict[str, Any]:
    found = {}
    sources = {
        "held_out": (heard.material.prompted, heard.copied),
        "takes": (heard.takes, heard.copied_takes),
    }
    for name, (excerpts, copies) in sources.items():
        if excerpts:
            names = [(excerpt.name, excerpt.style) for excerpt in excerpts]
            whole = [np.concatenate([song.prompt, song.truth]) for song in excerpts]
            pairs = list(zip(copies, whole, strict=True))
            found[name] = listening.copy_summary(listening.copy_errors(names, pairs, rate_hz))
    return found


def wide_copies(options: argparse.Namespace, player: Player, audio: AudioSpec) -> dict[str, Any]:
    """The autoencoder in the bundle's own form."""
    sources = {"held_out": wide.songs(options.data, options.split, WIDE_SONGS, audio)}
    if options.takes:
        sources["takes"] = wide.takes(options.takes, audio)
    found = {name: wide.copies(player, pieces, audio.sample_rate_hz)
             for name, pieces in sources.items()}  # fmt: skip
    return {name: figures for name, figures in found.items() if figures}


def draw(heard: Heard, report: dict[str, Any], scale: Scale, rate_hz: int, out: Path) -> list[str]:
    """Pictures into `out`; returns their names in the order of the report."""
    names = ["distances.png", "drift.png"]
    plots.distances(out / names[0], report["frechet"].distances)
    vectors = scale.apply(embed_all([heard.stream], rate_hz)[0])
    plots.drift(out / names[1], report["drift"], self_similarity(vectors))
    pieces = _spread(heard.material.prompted, heard.continued, heard.copied)
    pieces += list(zip(heard.takes, heard.continued_takes, heard.copied_takes, strict=True))
    for index, (song, audio, copy) in enumerate(pieces):
        seam, copied = f"continuation-{index}.png", f"autoencoder-{index}.png"
        columns = {"continued": audio, "as it was": song.truth}
        plots.continuation(out / seam, song.name, song.prompt, columns, rate_hz)
        sounds = {"original": np.concatenate([song.prompt, song.truth]), "copy": copy}
        plots.side_by_side(out / copied, song.name, sounds, rate_hz)
        names += [seam, copied]
    return names


def _spread(
    songs: list[Excerpt], continued: list[Array], copied: list[Array]
) -> list[tuple[Excerpt, Array, Array]]:
    chosen = np.unique(np.linspace(0, len(songs) - 1, PICTURES).astype(int))
    return [(songs[index], continued[index], copied[index]) for index in chosen]


def save_sound(heard: Heard, rate_hz: int, out: Path) -> None:
    """Every continuation behind its prompt, and the long stream, as FLAC."""
    pieces = [*heard.material.prompted, *heard.takes]
    for index, song in enumerate(pieces):
        tail = [*heard.continued, *heard.continued_takes][index]
        name = f"{index:02d}-{Path(song.name).stem}.flac"
        soundfile.write(out / name, np.concatenate([song.prompt, tail]), rate_hz)
    soundfile.write(out / "stream.flac", heard.stream, rate_hz)


def parser() -> argparse.ArgumentParser:
    """The options."""
    shaped = bundle_options("quality", __doc__)
    shaped.add_argument("--data", type=Path, default=Path("runs/data"), help="prepared folder")
    shaped.add_argument(
        "--split",
        choices=("valid", "all"),
        default="valid",
        help="the songs that are held out; `all` for a folder made for this with another seed",
    )
    shaped.add_argument("--takes", type=Path, help="folder of recordings to continue as well")
    shaped.add_argument("--out", type=Path, default=Path("runs/quality"))
    shaped.add_argument("--quick", action="store_true", help="few songs, one minute of stream")
    shaped.add_argument("--strict", action="store_true", help="exit 1 where a bound is missed")
    return shaped


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report; 0, or 1 with --strict where a bound is missed, or the error's code."""
    return answered("quality", lambda: _report(parser().parse_args(argv)))


def _report(options: argparse.Namespace) -> int:
    bundle, backend = opened(options)
    player = Player(bundle, backend)
    extent = QUICK if options.quick else FULL
    material = held_out(
        options.data, options.split, extent.songs_per_side, PROMPT_S, TRUTH_S, player.rate_hz
    )
    recordings = takes(options.takes, PROMPT_S, TRUTH_S, player.rate_hz) if options.takes else []
    heard = listen(player, material, recordings, extent)
    found = embed_sides(heard, player.rate_hz)
    report = {
        "benchmark": "quality",
        "revision": machine.revision(),
        "bundle": {"name": bundle.manifest.name, "hash": bundle.hash},
        "backend": backend.name,
        **measure(heard, found, player.chunk_samples, player.rate_hz),
        "wide": wide_copies(options, player, bundle.manifest.audio),
    }
    bounds = checks(plain(report), QUALITY_BUDGETS)
    options.out.mkdir(parents=True, exist_ok=True)
    pictures = draw(heard, report, found.scale, player.rate_hz, options.out)
    save_sound(heard, player.rate_hz, options.out)
    publish(options.out, "report", report, render(plain(report), bounds, pictures))
    return 1 if options.strict and not passed(bounds) else 0


if __name__ == "__main__":
    sys.exit(main())
