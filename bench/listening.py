"""The measures of the quality report, each from audio to a table of figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.continuity import Kept, Seam, Signature, chunk_joins, kept, oddness, seam
from bench.features import embed_all
from bench.frechet import (
    CONTINUATION,
    HELD_OUT,
    SHUFFLED,
    Comparison,
    Scale,
    compare_sides,
    shuffled,
    white_noise,
)
from bench.material import Excerpt
from bench.spectra import Array, level_db, mel_db_error, si_sdr_db

RECONSTRUCTION, NOISE = "autoencoder", "white noise"
DECAY_DB = -12.0


@dataclass(frozen=True)
class Copy:
    """How near the autoencoder's copy of some audio is to it."""

    name: str
    style: str
    mel_error_db: float
    si_sdr_db: float


def copy_errors(
    names: Sequence[tuple[str, str]], pairs: Sequence[tuple[Array, Array]], rate_hz: int
) -> list[Copy]:
    """One `Copy` for each (copy, original); `names` are (name, style)."""
    return [
        Copy(name, style, mel_db_error(copy, original, rate_hz), si_sdr_db(copy, original))
        for (name, style), (copy, original) in zip(names, pairs, strict=True)
    ]


def copy_summary(copies: Sequence[Copy]) -> dict[str, Any]:
    """Means, the worst mel error, and the mel error by style."""
    by_style: dict[str, list[float]] = defaultdict(list)
    for copy in copies:
        by_style[copy.style].append(copy.mel_error_db)
    return {
        "mel_error_db": float(np.mean([copy.mel_error_db for copy in copies])),
        "worst_mel_error_db": max(copy.mel_error_db for copy in copies),
        "si_sdr_db": float(np.mean([copy.si_sdr_db for copy in copies])),
        "by_style": {style: float(np.mean(errors)) for style, errors in sorted(by_style.items())},
        "each": list(copies),
    }


@dataclass(frozen=True)
class Sides:
    """The clip vectors of every side, song by song, not yet standardised."""

    reference: list[Array]
    others: dict[str, list[Array]]

    @property
    def scale(self) -> Scale:
        """The ruler: mean and spread of the reference."""
        return Scale.of(np.concatenate(self.reference))

    def beside(self, continued: Sequence[Array], rate_hz: int) -> Sides:
        """These, and as one more side the music made."""
        return Sides(self.reference, {**self.others, CONTINUATION: embed_all(continued, rate_hz)})

    def comparison(self) -> Comparison:
        """Fréchet distances and their ratio."""
        return compare_sides(self.reference, self.others)

    def oddness_in_time(self, side: str, parts: int = 4) -> list[float]:
        """Median oddness of a side in `parts` equal stretches of its songs, first to last.

        Fewer parts where the songs have fewer clips.
        """
        parts = min(parts, *(len(song) for song in self.others[side]))
        songs = [np.array_split(self.scale.apply(song), parts) for song in self.others[side]]
        return [oddness(np.concatenate(stretch)) for stretch in zip(*songs, strict=True)]


def sides(
    reference: Sequence[Excerpt],
    prompted: Sequence[Excerpt],
    continued: Sequence[Array],
    copied: Sequence[Array],
    rate_hz: int,
) -> Sides:
    """Embed the reference's truths, and for the prompted songs truth, music made, and anchors."""
    found = anchors(reference, prompted, rate_hz)
    noise = [white_noise(excerpt.truth, seed) for seed, excerpt in enumerate(prompted)]
    more = {RECONSTRUCTION: copied, CONTINUATION: continued, NOISE: noise}
    own = {name: embed_all(songs, rate_hz) for name, songs in more.items()}
    order = (HELD_OUT, RECONSTRUCTION, CONTINUATION, SHUFFLED, NOISE)
    others = {**found.others, **own}
    return Sides(found.reference, {name: others[name] for name in order})


def anchors(reference: Sequence[Excerpt], prompted: Sequence[Excerpt], rate_hz: int) -> Sides:
    """The truths alone and in shuffled pieces: several bundles or settings are measured by one."""
    truths = [excerpt.truth for excerpt in prompted]
    mixed = [shuffled(truth, rate_hz, seed) for seed, truth in enumerate(truths)]
    return Sides(
        embed_all([excerpt.truth for excerpt in reference], rate_hz),
        {HELD_OUT: embed_all(truths, rate_hz), SHUFFLED: embed_all(mixed, rate_hz)},
    )


def kept_of(prompts: Sequence[Signature], music: Sequence[Signature]) -> list[Kept]:
    """What each piece of music kept of its prompt."""
    return [kept(before, after) for before, after in zip(prompts, music, strict=True)]


def kept_table(
    prompted: Sequence[Excerpt], continued: Sequence[Array], rate_hz: int
) -> tuple[dict[str, dict[str, float]], list[Kept]]:
    """Shares that kept key and tempo: of continuations, of the truth (ceiling), and by chance.

    Chance pairs each prompt with the continuation of another song. Also returns the
    continuations one by one.
    """
    prompts = [Signature.of(excerpt.prompt, rate_hz) for excerpt in prompted]
    truths = [Signature.of(excerpt.truth, rate_hz) for excerpt in prompted]
    made = [Signature.of(audio, rate_hz) for audio in continued]
    half = len(made) // 2
    found = {
        "continuation": kept_of(prompts, made),
        "truth": kept_of(prompts, truths),
        "chance": kept_of(prompts, made[half:] + made[:half]),
    }
    return {name: means(each) for name, each in found.items()}, found["continuation"]


def means(items: Sequence[Any]) -> dict[str, float]:
    """Mean of every number (true counts 1) in a list of equal dataclasses."""
    rows = [asdict(item) for item in items]
    numbers = [name for name, value in rows[0].items() if isinstance(value, (bool, int, float))]
    return {name: float(np.mean([row[name] for row in rows])) for name in numbers}


def seam_table(
    prompted: Sequence[Excerpt], continued: Sequence[Array], chunk_samples: int, rate_hz: int
) -> dict[str, dict[str, float]]:
    """Mean percentiles at the prompt's seam and the chunks' joins, beside those of the truth.

    `standing_out` is the share of seams beyond the 95th percentile; 0.05 is any other place.
    """
    pairs = list(zip(prompted, continued, strict=True))
    made = [seam(excerpt.prompt, audio, rate_hz) for excerpt, audio in pairs]
    true = [seam(excerpt.prompt, excerpt.truth, rate_hz) for excerpt, _ in pairs]
    joins = [chunk_joins(audio, chunk_samples, rate_hz) for audio in continued]
    return {
        "continuation": {**means(made), **_standing_out(made)},
        "truth": {**means(true), **_standing_out(true)},
        "chunk_joins": means(joins),
    }


def _standing_out(seams: Sequence[Seam]) -> dict[str, float]:
    names = ("energy", "flux", "click")
    return {
        f"{name}_standing_out": float(np.mean([getattr(each, name) > 95.0 for each in seams]))
        for name in names
    }


def level_table(
    prompted: Sequence[Excerpt], continued: Sequence[Array]
) -> dict[str, float | list[float]]:
    """Level of the continuations in quarters, dB re their prompts, and how many die away."""
    quarters = np.array(
        [
            [level_db(part) - level_db(excerpt.prompt) for part in np.array_split(audio, 4)]
            for excerpt, audio in zip(prompted, continued, strict=True)
        ]
    )
    return {
        "quarters_db": [float(level) for level in quarters.mean(axis=0)],
        "worst_quarter_db": float(quarters.min()),
        "decayed_share": float(np.mean(quarters[:, -1] < DECAY_DB)),
    }


def song_rows(prompted: Sequence[Excerpt], each: Sequence[Kept]) -> list[Mapping[str, Any]]:
    """One row a song: its name, style and true tempo beside what was kept."""
    return [
        {"name": excerpt.name, "style": excerpt.style, "bpm": excerpt.bpm, **asdict(row)}
        for excerpt, row in zip(prompted, each, strict=True)
    ]
