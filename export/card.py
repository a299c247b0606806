"""The model card of a bundle: what it is, what it was trained on, how it measures, its limits."""

from __future__ import annotations

from collections.abc import Mapping

from engine.manifest import Manifest
from engine.spec import PromptingSpec

TEXT = """\
# {name} {version}

Weights of perpetuo: an engine that continues music without end, live.

| what | figure |
|---|---|
| audio | {rate_hz} Hz, {channels} channel(s) |
| latents | {latent_rate_hz} Hz x {dim}, unit variance |
| chunk | {chunk_frames} frames = {chunk_s:.2f} s{sizes} |
| context | {context} |
| ladder | {steps} passes a chunk |
| parameters | {parameters} |
| licence | {licence} |

## Files
`encoder.onnx` turns a take into latents, `velocity.onnx` is the dual-path diffusion network that
turns noise into the next chunk of latents, `decoder.onnx` turns latents into audio, causally.
{prompting}`descend.onnx` takes all passes of a chunk in one run. `weights.data` holds the weights
of all of them: matrices of the decoder and of the velocity network at half precision, or as int8
with a scale for each row where there are products of bytes; the others as int8. They are computed
with in float32, but in files named `int8`, where they are there: these have products of bytes, for
one stream on a CPU.
`velocity.unrolled.onnx` is the same network without loops; a number in a name is that of the frames
of another size of chunk. `golden.npz` holds the latents that this bundle makes from no prompt with
a known seed.

## Trained on
{trained_on}

No recording of anybody else was used unless this section says so.

## Measured
{measured}

`parity` figures are relative errors over {parity_chunks} streamed chunks: ONNX Runtime against
torch, and both against float64. `half` and `int8` figures are what rounding the weights so changes,
relative RMS{of_tokens}. `training` figures are the last line of each training log.

## Limits
It continues from the sound of the last seconds and plans no form: sections and endings are not its
business. It knows the styles it was trained on; other music is pulled towards them.
It is no source separator, no transcriber, and it sings no words.
"""

PROMPTING = """\
`semantic.onnx` is a conformer that hears a recording as tokens: {token_hz:g} a second, of a
vocabulary of {vocabulary}. `music.onnx` and `text.onnx` place recordings and known words
(`words.json`, {words} of them) in one space of {embedding} dimensions, `quantise.onnx` makes
{codes} codes of a place in it. `prefix.onnx`, `language.onnx` and `write.onnx` are the language
model that writes the tokens to come for the velocity network; it looks back on {context_s:.1f} s
of them.
"""


def model_card(
    manifest: Manifest, parameters: Mapping[str, int], parity_chunks: int, note: str, words: int = 0
) -> str:
    """MODEL_CARD.md for a manifest; `note` is appended as it is, `words` are how many it knows."""
    context = f"{manifest.context.kind}, {manifest.context.chunks} chunks"
    prompting = manifest.prompting
    card = TEXT.format(
        prompting=_prompting(manifest, prompting, words) if prompting else "",
        of_tokens="; of `int8.tokens`, the part that changes" if prompting else "",
        name=manifest.name,
        version=manifest.version,
        rate_hz=manifest.audio.sample_rate_hz,
        channels=manifest.audio.channels,
        latent_rate_hz=manifest.latent.rate_hz,
        dim=manifest.latent.dim,
        chunk_frames=manifest.chunk_frames[0],
        chunk_s=manifest.chunk_s,
        sizes="".join(f"; {frames} can be played" for frames in manifest.chunk_frames[1:]),
        context=f"{context} = {manifest.context.chunks * manifest.chunk_s:.1f} s",
        steps=manifest.ladder.steps,
        parameters=", ".join(f"{name} {n / 1e6:.2f} M" for name, n in parameters.items()),
        licence=manifest.licence,
        trained_on=manifest.trained_on,
        measured=_table(manifest.measured),
        parity_chunks=parity_chunks,
    )
    return card + (f"\n{note.strip()}\n" if note.strip() else "")


def _prompting(manifest: Manifest, prompting: PromptingSpec, words: int) -> str:
    token_hz = manifest.latent.rate_hz / prompting.token_frames
    return PROMPTING.format(
        token_hz=token_hz,
        vocabulary=prompting.vocabulary,
        words=words,
        embedding=prompting.embedding,
        codes=prompting.codes,
        context_s=prompting.language_context / token_hz,
    )


def _table(measured: Mapping[str, float | str]) -> str:
    rows = [f"| {key} | {_figure(value)} |" for key, value in measured.items()]
    return "\n".join(["| figure | value |", "|---|---|", *rows])


def _figure(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
