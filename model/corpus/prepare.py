"""``python -m model.corpus.prepare --data FOLDER --out FOLDER``: recordings to a data set."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from model.corpus.dataset import Songs, prepare


def main(arguments: list[str] | None = None) -> int:
    """Prepare a data set; exit status 0, or 2 with one line that says what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m model.corpus.prepare", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="corpus or folder of recordings")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rate", type=int, default=48_000, help="sample rate in Hz")
    parser.add_argument("--channels", type=int, default=2)
    parser.add_argument("--valid", type=float, default=0.06, help="share held out for validation")
    given = parser.parse_args(arguments)
    if not given.data.is_dir():
        print(f"prepare: no folder {given.data}", file=sys.stderr)
        return 2
    try:
        skipped = prepare(given.data, given.out, given.rate, given.channels, given.valid)
    except ValueError as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 2
    for line in skipped:
        print(line, file=sys.stderr)
    songs = Songs(given.out)
    hours = sum(song.samples for song in songs.songs) / songs.sample_rate_hz / 3600
    held_out = len(songs.split("valid"))
    print(f"{len(songs.songs)} songs, {hours:.2f} h, {held_out} held out, in {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
