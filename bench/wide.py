"""The autoencoder at a bundle's own rate and channels: what measures in mono at 24 kHz cannot hear.

Two figures: the mel error of left and of right (of the one channel of a mono bundle), windows as
long as everywhere; and how much narrower or wider a copy is, side against middle, in dB.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.playing import Player
from bench.spectra import mel_db_error
from engine.errors import TakeError
from engine.spec import AudioSpec
from engine.takes import read_take
from model.corpus.dataset import Songs

Stereo = npt.NDArray[np.float32]
"""float32 [samples, channels]."""
STRETCH_S = 8.0
SILENCE = 1e-10


def songs(folder: Path, split: str, count: int, audio: AudioSpec) -> Iterator[tuple[str, Stereo]]:
    """The middle 8 s of up to `count` songs, evenly spread; none where the data has another form.

    `split` is "valid", or "all".
    """
    data = Songs(folder)
    if (data.sample_rate_hz, data.channels) != (audio.sample_rate_hz, audio.channels):
        return
    samples = round(STRETCH_S * data.sample_rate_hz)
    entries = data.songs if split == "all" else data.split(split)
    long = [song for song in entries if song.samples >= samples]
    for place in np.linspace(0, len(long) - 1, min(count, len(long))).astype(int):
        song = long[place]
        yield song.name, data.window(song, (song.samples - samples) // 2, samples)


def takes(folder: Path, audio: AudioSpec) -> Iterator[tuple[str, Stereo]]:
    """The middle 8 s of every recording that can be read and is long enough."""
    samples = round(STRETCH_S * audio.sample_rate_hz)
    for path in sorted(folder.iterdir()):
        try:
            found = read_take(path, audio.sample_rate_hz, audio.channels).audio
        except TakeError:
            continue
        if len(found) >= samples:
            start = (len(found) - samples) // 2
            yield path.name, found[start : start + samples]


def copies(player: Player, pieces: Iterator[tuple[str, Stereo]], rate_hz: int) -> dict[str, Any]:
    """Means over the pieces, and each of them; nothing where there is none."""
    each = [
        {"name": name, **compared(player.whole_copy(audio), audio, rate_hz)}
        for name, audio in pieces
    ]
    if not each:
        return {}
    means = {key: float(np.mean([one[key] for one in each])) for key in each[0] if key != "name"}
    return {**means, "pieces": len(each), "each": each}


def compared(copy: Stereo, audio: Stereo, rate_hz: int) -> dict[str, float]:
    """One copy and what it is a copy of."""
    pairs = zip(copy.T, audio.T, strict=True)
    found = {"mel_error_db": float(np.mean([mel_db_error(x, y, rate_hz) for x, y in pairs]))}
    if audio.shape[1] == 2:
        found["width_db"] = width_db(copy) - width_db(audio)
    return found


def width_db(audio: Stereo) -> float:
    """Power of the side against that of the middle, in dB; −100 at least."""
    left, right = audio.T.astype(np.float64)
    middle, side = np.square(left + right).mean(), np.square(left - right).mean()
    return float(10 * np.log10((side + SILENCE) / (middle + SILENCE)))
