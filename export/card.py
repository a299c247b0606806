"""The model card of a bundle: what it is, what it was trained on, how it measures, its limits."""

from __future__ import annotations

from collections.abc import Mapping

from engine.spec import Manifest

TEXT = """\
# {name} {version}

Weights of perpetuo: an engine that continues music without end, live.

| what | figure |
|---|---|
| audio | {rate_hz} Hz, {channels} channel(s) |
| latents | {latent_rate_hz} Hz x {dim}, unit variance |
| chunk | {chunk_frames} frames = {chunk_s:.2f} s |
| context | {context} |
| ladder | {steps} passes a chunk |
| parameters | {parameters} |
| licence | {licence} |

## Files
`encoder.onnx` turns a take into latents, `velocity.onnx` is the dual-path diffusion network that
turns noise into the next chunk of latents, `decoder.onnx` turns latents into audio, causally.
`weights.data` holds the weights of all of them: matrices at half precision, computed in float32.
`velocity.unrolled.onnx`, where it is there, is the same network for accelerators.
`golden.npz` holds the latents that this bundle makes from no prompt with a known seed.

## Trained on
{trained_on}

No recording of anybody else was used unless this section says so.

## Measured
{measured}

`parity` figures are relative errors over {parity_chunks} streamed chunks: ONNX Runtime against
torch, and both against float64. `half` figures are what rounding the weights to half precision
changes, relative RMS. `training` figures are the last line of each training log.

## Limits
It continues from the sound of the last seconds and plans no form: sections and endings are not its
business. It knows the styles it was trained on; other music is pulled towards them.
It is no source separator, no transcriber, and it sings no words.
"""


def model_card(
    manifest: Manifest, parameters: Mapping[str, int], parity_chunks: int, note: str
) -> str:
    """MODEL_CARD.md for a manifest; `note` is appended as it is."""
    context = f"{manifest.context.kind}, {manifest.context.chunks} chunks"
    card = TEXT.format(
        name=manifest.name,
        version=manifest.version,
        rate_hz=manifest.audio.sample_rate_hz,
        channels=manifest.audio.channels,
        latent_rate_hz=manifest.latent.rate_hz,
        dim=manifest.latent.dim,
        chunk_frames=manifest.chunk_frames[0],
        chunk_s=manifest.chunk_s,
        context=f"{context} = {manifest.context.chunks * manifest.chunk_s:.1f} s",
        steps=manifest.ladder.steps,
        parameters=", ".join(f"{name} {n / 1e6:.2f} M" for name, n in parameters.items()),
        licence=manifest.licence,
        trained_on=manifest.trained_on,
        measured=_table(manifest.measured),
        parity_chunks=parity_chunks,
    )
    return card + (f"\n{note.strip()}\n" if note.strip() else "")


def _table(measured: Mapping[str, float | str]) -> str:
    rows = [f"| {key} | {_figure(value)} |" for key, value in measured.items()]
    return "\n".join(["| figure | value |", "|---|---|", *rows])


def _figure(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
