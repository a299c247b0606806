"""A prepared data set: all songs in one int16 file, read by random windows.

``audio.i16`` is int16[samples, channels], songs one after the other; ``index.json`` names
rate, channels and songs (name, start, samples, split, style, bpm).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model.corpus.recordings import (
    MINIMUM_S,
    Audio,
    RecordingError,
    find_recordings,
    level,
    music_spans,
    read_recording,
)

FORMAT = 1
AUDIO_FILE, INDEX_FILE = "audio.i16", "index.json"
_FULL_SCALE = 32767.0


@dataclass(frozen=True)
class Entry:
    """One song of a data set: where its samples are and what is known of it."""

    name: str
    start: int
    samples: int
    split: str
    style: str | None = None
    bpm: float | None = None


def split_of(name: str, valid_fraction: float) -> str:
    """Split "train" or "valid" by a hash of the name: the same on every machine, in every run."""
    digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return "valid" if digest / 2**64 < valid_fraction else "train"


def _truth(path: Path) -> dict[str, object]:
    """Truth beside a song of the corpus; nothing for a recording without one."""
    try:
        found = json.loads(path.with_suffix(".json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and "style" in found else {}


def _songs_of(path: Path, rate: int, channels: int) -> Iterator[tuple[str, Audio]]:
    """(suffix of the name, audio) of every stretch of music in one file.

    A song of the corpus is used whole: it has no ending and its level is right.
    """
    audio = read_recording(path, rate, channels)
    if _truth(path):
        spans = [(0, len(audio))] if len(audio) >= MINIMUM_S * rate else []
    else:
        spans = music_spans(audio, rate)
    if not spans:
        raise RecordingError(f"{len(audio) / rate:.1f} s hold no {MINIMUM_S:g} s of music")
    for number, (start, stop) in enumerate(spans, 1):
        piece = audio[start:stop]
        yield "" if len(spans) == 1 else f"#{number}", piece if _truth(path) else level(piece)


def _append(file: BinaryIO, audio: Audio) -> None:
    file.write(np.round(np.clip(audio, -1.0, 1.0) * _FULL_SCALE).astype("<i2").tobytes())


def _both_splits(entries: list[Entry], sample_rate_hz: int) -> list[Entry]:
    """Move one song, or the last tenth of the only one, where a split would be empty."""
    splits = {entry.split for entry in entries}
    if len(splits) == 2 or not entries:
        return entries
    missing = "train" if splits == {"valid"} else "valid"
    if len(entries) > 1:
        index = (
            0 if missing == "valid" else max(range(len(entries)), key=lambda i: entries[i].samples)
        )
        return [replace(e, split=missing) if i == index else e for i, e in enumerate(entries)]
    only = entries[0]
    tail = max(only.samples // 10, round(MINIMUM_S * sample_rate_hz / 2))
    head = only.samples - tail
    return [
        replace(only, samples=head, split="train"),
        replace(
            only, name=only.name + "#end", start=only.start + head, samples=tail, split="valid"
        ),
    ]


def prepare(
    folder: Path, out: Path, sample_rate_hz: int, channels: int, valid_fraction: float = 0.06
) -> list[str]:
    """Turn a corpus folder, or any folder of recordings, into a data set in `out`.

    Returns one line for every file left out, with its name and the reason. Raises ValueError
    when nothing is left. `out` is complete once it holds index.json.
    """
    paths = find_recordings(folder)
    out.mkdir(parents=True, exist_ok=True)
    entries: list[Entry] = []
    skipped: list[str] = []
    position = 0
    partial = out / (AUDIO_FILE + ".partial")
    with partial.open("wb") as file:
        for path in tqdm(paths, unit="file"):
            name = path.relative_to(folder).as_posix()
            truth = _truth(path)
            style, bpm = truth.get("style"), truth.get("bpm")
            try:
                for suffix, audio in _songs_of(path, sample_rate_hz, channels):
                    _append(file, audio)
                    entries.append(
                        Entry(
                            name + suffix,
                            position,
                            len(audio),
                            split_of(name, valid_fraction),
                            style if isinstance(style, str) else None,
                            bpm if isinstance(bpm, float) else None,
                        )
                    )
                    position += len(audio)
            except RecordingError as error:
                skipped.append(f"{name}: skipped, {error}")
    if not entries:
        partial.unlink()
        raise ValueError(f"no usable music in {folder}: {len(paths)} audio files found")
    _finish(out, partial, _both_splits(entries, sample_rate_hz), sample_rate_hz, channels)
    return skipped


def _finish(
    out: Path, partial: Path, entries: list[Entry], sample_rate_hz: int, channels: int
) -> None:
    """Move the audio into place, then write the index that makes the data set complete."""
    (out / INDEX_FILE).unlink(missing_ok=True)
    partial.replace(out / AUDIO_FILE)
    index = {
        "format": FORMAT,
        "sample_rate_hz": sample_rate_hz,
        "channels": channels,
        "songs": [asdict(entry) for entry in entries],
    }
    written = out / (INDEX_FILE + ".partial")
    written.write_text(json.dumps(index, indent=1))
    written.replace(out / INDEX_FILE)


def picked(
    rng: np.random.Generator, places: Sequence[tuple[str, int]], oftener: Mapping[str, float],
    count: int,
) -> NDArray[np.int64]:  # fmt: skip
    """`count` random songs, by number, of names with how many places a window has in each.

    `oftener` is how many times as often a song is taken; once where it is not named.
    """
    weights = np.array([room * oftener.get(name, 1.0) for name, room in places])
    return rng.choice(len(places), size=count, p=weights / weights.sum())


class Songs:
    """Reader of a prepared data set."""

    def __init__(self, folder: Path | str) -> None:
        """Open a folder that `prepare` has written; FileNotFoundError says how to make one."""
        folder = Path(folder)
        if not (folder / INDEX_FILE).is_file():
            raise FileNotFoundError(
                f"no {INDEX_FILE} in {folder}: make it with python -m model.corpus.prepare"
            )
        index = json.loads((folder / INDEX_FILE).read_text())
        self.sample_rate_hz: int = index["sample_rate_hz"]
        self.channels: int = index["channels"]
        self.songs = [Entry(**song) for song in index["songs"]]
        self.oftener: Mapping[str, float] = {}
        """How many times as often as others a song is taken; once where it is not named."""
        flat = np.memmap(folder / AUDIO_FILE, dtype="<i2", mode="r")
        self._audio = flat.reshape(-1, self.channels)

    def split(self, name: str) -> list[Entry]:
        """The songs of split "train" or "valid"."""
        return [song for song in self.songs if song.split == name]

    def window(self, song: Entry, start: int, samples: int) -> Audio:
        """float32[samples, channels] of a song from sample `start` of it; IndexError outside."""
        if start < 0 or start + samples > song.samples:
            raise IndexError(
                f"{song.name} has {song.samples} samples, not {start}..{start + samples}"
            )
        begin = song.start + start
        return self._audio[begin : begin + samples].astype(np.float32) / np.float32(_FULL_SCALE)

    def sample(
        self, rng: np.random.Generator, split: str, samples: int, count: int
    ) -> NDArray[np.float32]:
        """`count` random windows of a split -> float32[count, samples, channels].

        Every possible window is as likely as every other, but for songs that are to be taken
        `oftener`. ValueError if no song is that long.
        """
        songs = [song for song in self.split(split) if song.samples >= samples]
        if not songs:
            raise ValueError(f"no {split} song has {samples} samples: use shorter windows")
        places = [(song.name, song.samples - samples + 1) for song in songs]
        chosen = picked(rng, places, self.oftener, count)
        windows = [
            self.window(songs[i], int(rng.integers(songs[i].samples - samples + 1)), samples)
            for i in chosen
        ]
        return np.array(windows, np.float32).reshape(count, samples, self.channels)
