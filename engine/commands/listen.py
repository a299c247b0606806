"""`perpetuo listen`: a feed to a file."""

from __future__ import annotations

import asyncio
from argparse import Namespace

from engine.commands import say
from engine.commands.status import StatusLine
from engine.errors import NetworkError, UsageError
from engine.opus import OpusDecoder
from engine.relays.options import CODECS
from engine.relays.source import Source
from engine.relays.tape import OPUS_SUFFIX, Tape
from engine.sinks.file import FORMATS
from engine.wire.packets import Codec


def listen(given: Namespace) -> int:
    """Listen until Ctrl-C or for so many seconds; NetworkError where there is no feed."""
    codec = _codec(given)
    if codec is Codec.OPUS and given.output.suffix.lower() != OPUS_SUFFIX:
        OpusDecoder(1)  # says now what is missing
    asyncio.run(_listen(given, codec))
    return 0


async def _listen(given: Namespace, codec: Codec) -> None:
    tape, line = Tape(given.output), StatusLine()
    async with Source(given.feed, codec, token=given.token, patient=False, tell=say) as source:
        try:
            while given.seconds is None or tape.seconds < given.seconds:
                packet = await source.next()
                assert packet is not None, "it was waited for"
                try:
                    tape.write(packet)
                except ValueError as error:
                    raise NetworkError(
                        f"{given.feed} sent a packet that is broken: {error}"
                    ) from None
                line.show(f"{tape.seconds:.1f} s, {tape.gaps} gaps")
        finally:
            tape.close()
            line.close()


def _codec(given: Namespace) -> Codec:
    """The codec that was asked for, or that the file asks for; UsageError if they disagree."""
    suffix = given.output.suffix.lower()
    if suffix not in (*FORMATS, OPUS_SUFFIX):
        names = ", ".join((*FORMATS, OPUS_SUFFIX))
        raise UsageError(f"{given.output}: a name that ends in {names} is needed")
    usual = "opus" if suffix == OPUS_SUFFIX else "s16"
    codec = Codec.from_label(CODECS[given.codec or usual])
    if suffix == OPUS_SUFFIX and codec is not Codec.OPUS:
        raise UsageError(
            f"{given.output} takes --codec opus; {given.codec} goes into .wav or .flac"
        )
    return codec
