"""`perpetuo render`: music to a file, as fast as it can be made."""

from __future__ import annotations

import sys
from argparse import Namespace
from time import monotonic

from tqdm import tqdm

from engine.commands.stream import Stream, open_stream
from engine.errors import UsageError
from engine.producer import render as blocks_of
from engine.sinks.file import FileSink

BAR = "{percentage:3.0f}% |{bar:30}| {n:.1f} of {total:.1f} s of music, {remaining} left"


def render(given: Namespace) -> int:
    """Write `seconds` of music; whatever ends it early, the file is whole."""
    if given.replay is not None:
        from engine.commands.rig import replay

        return replay(given)
    if given.take and given.output.exists() and given.output.samefile(given.take):
        raise UsageError(f"{given.output} is the take itself: choose another name with -o")
    stream = open_stream(given)
    audio = stream.bundle.manifest.audio
    samples = max(1, round(given.seconds * audio.sample_rate_hz))
    with FileSink(given.output, audio) as sink:
        if given.with_take:
            sink.write(stream.take)
        began_s = monotonic()
        _write(stream, sink, samples)
        took_s = monotonic() - began_s
    music_s = samples / audio.sample_rate_hz
    print(
        f"{given.output}: {music_s:.1f} s of music in {took_s:.1f} s, "
        f"real-time factor {took_s / music_s:.3f}"
    )
    return 0


def _write(stream: Stream, sink: FileSink, samples: int) -> None:
    """Exactly so many samples, with a progress bar on a terminal."""
    rate_hz = stream.bundle.manifest.audio.sample_rate_hz
    left = samples
    with tqdm(
        total=samples / rate_hz, bar_format=BAR, disable=None, leave=False, file=sys.stderr
    ) as bar:
        for block in blocks_of(stream.generator, stream.controls):
            piece = block.audio[:left]
            sink.write(piece)
            bar.update(piece.shape[0] / rate_hz)
            left -= piece.shape[0]
            if not left:
                return
