"""`perpetuo info` and `perpetuo devices`: what there is."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from engine.backends import Backend, choose
from engine.brief import FAMILIES, SCALES
from engine.bundle import Bundle, default_bundle_path
from engine.manifest import Manifest
from engine.spec import ControlSpec, GoldenSpec, PromptingSpec
from engine.tensors import GraphSpec


def info(given: Namespace) -> int:
    """Verify a bundle and print its manifest for people; a broken one is a BundleError.

    Where it brings golden latents, it is played and compared with them.
    """
    bundle = Bundle.open(given.bundle or default_bundle_path())
    print("\n".join(describe(bundle)))
    if bundle.manifest.golden is None:
        print("\ngolden\n  the bundle has none to compare with")
        return 0
    backend, others = choose(bundle)
    print("\n".join(["", "backend", *_table(_chosen(backend, others))]), flush=True)
    print("\n".join(["", "golden", *_table(_golden(bundle, backend, bundle.manifest.golden))]))
    return 0


def _chosen(backend: Backend, others: Mapping[str, str]) -> dict[str, str]:
    """What --backend auto plays on, and why not on the others."""
    refused = {f"not {name}": why for name, why in others.items()}
    return {"auto": f"{backend.name} on {', '.join(backend.providers())}", **refused}


def _golden(bundle: Bundle, backend: Backend, golden: GoldenSpec) -> dict[str, str]:
    """How far what is made here is from what was packed; BundleError beyond what is allowed."""
    from engine.golden import allowed, golden_error

    error, limit = golden_error(bundle, backend), allowed(golden, backend)
    return {"latents": f"{golden.chunks} chunks differ by {error:.2g}, allowed {limit:g}"}


def devices(_given: Namespace) -> int:
    """Print the sound outputs, the default one starred; DeviceError if there are none."""
    from engine.sinks.device_list import list_devices

    for device in list_devices():
        star = "*" if device.default else " "
        low_ms, high_ms = (1000 * seconds for seconds in device.latency_s)
        print(
            f"{star}{device.index:3}  {device.name}  "
            f"({device.host}, {device.channels} channels, {device.sample_rate_hz} Hz, "
            f"{low_ms:.0f} to {high_ms:.0f} ms)"
        )
    return 0


def describe(bundle: Bundle) -> list[str]:
    """The lines that `perpetuo info` prints."""
    manifest = bundle.manifest
    size_mb = sum(spec.bytes for spec in manifest.files.values()) / 1e6
    lines = _table(
        {
            "bundle": f"{manifest.name} {manifest.version}, {manifest.licence}",
            "folder": str(bundle.path),
            "whole": f"yes, {len(manifest.files)} files, {size_mb:.1f} MB, {bundle.hash[:16]}…",
            **_music(manifest),
            "trained on": manifest.trained_on or "it does not say",
        }
    )
    if manifest.prompting is not None:
        lines += ["", "prompting", *_table(_prompting(bundle, manifest.prompting))]
    lines += ["", "controls", *_table({c.name: _control(c) for c in manifest.controls})]
    lines += ["", "graphs", *_table({name: _graph(g) for name, g in manifest.graphs.items()})]
    for frames, size in manifest.sized.items():
        lines += ["", f"graphs for chunks of {frames} frames"]
        lines += _table({name: _graph(graph) for name, graph in size.graphs.items()})
    if manifest.measured:
        lines += ["", "measured", *_table(manifest.measured)]
    return lines


def _music(manifest: Manifest) -> dict[str, str]:
    audio, latent = manifest.audio, manifest.latent
    context, ladder = manifest.context, manifest.ladder
    chunk_s = manifest.chunk_s
    fewer = ", ".join(map(str, ladder.fallback_steps)) or "none"
    return {
        "audio": f"{audio.sample_rate_hz} Hz, {audio.channels} channel(s)",
        "latents": f"{latent.rate_hz} Hz × {latent.dim}",
        "chunks": _chunks(manifest),
        "context": f"{context.kind}, {context.chunks} chunks, {context.chunks * chunk_s:.3g} s",
        "ladder": f"{ladder.steps} steps, depth {ladder.depth}; when time is short: {fewer} steps",
        "conditions": ", ".join(manifest.conditions) or "none",
    }


def _chunks(manifest: Manifest) -> str:
    """Every size, the default first."""
    usual, *others = (
        f"{frames} frames ({manifest.at(frames).chunk_s:.3g} s)" for frames in manifest.chunk_frames
    )
    return usual + (f"; with --chunk also {', '.join(others)}" if others else "")


def _control(spec: ControlSpec) -> str:
    span = f"{spec.minimum:g} … {spec.maximum:g} {spec.unit}".rstrip()
    usual = "usually free" if spec.optional else f"usually {spec.default:g}"
    return f"{spec.kind}, {span}, {usual}"


def _prompting(bundle: Bundle, sizes: PromptingSpec) -> dict[str, str]:
    """What a prompt may say, and what becomes of it."""
    rate_hz = bundle.manifest.latent.rate_hz / sizes.token_frames
    context_s = sizes.language_context / rate_hz
    plain = [word for word in bundle.words if not word.startswith("<")]
    return {
        "words": f"{len(plain)} known: {', '.join(plain[:: max(1, len(plain) // 12)])} …",
        "scales": ", ".join(SCALES),
        "families": ", ".join(FAMILIES),
        "embedding": f"{sizes.embedding} values, {sizes.codes} codes",
        "tokens": f"{rate_hz:g} Hz of {sizes.vocabulary}; looks back {context_s:.3g} s",
    }


def _graph(graph: GraphSpec) -> str:
    inputs = ", ".join(f"{t.name}{list(t.shape)}" for t in graph.inputs)
    outputs = ", ".join(f"{t.name}{list(t.shape)}" for t in graph.outputs)
    states = f"; {len(graph.states)} states" if graph.states else ""
    return f"{graph.file}: {inputs} → {outputs}{states}".replace("'", "")


def _table(rows: Mapping[str, object]) -> list[str]:
    width = max(map(len, rows), default=0)
    return [f"  {name:{width}}  {value}" for name, value in rows.items()]
