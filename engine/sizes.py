"""Can every size of chunk that a manifest lists be played: its velocity network, its context?"""

from __future__ import annotations

from engine.errors import BundleError
from engine.expecting import expect, expect_dtype, expect_numbers
from engine.manifest import Manifest, SizeSpec
from engine.spec import PromptingSpec
from engine.tensors import GraphSpec, StateSpec, TensorSpec

CONDITIONS = {"tokens": "int64", "brief": "float32", "guide": "float32"}
"""What a velocity network may be conditioned on; nothing here gives a guide yet."""

SIZED_GRAPHS = {"velocity", "descend"}
"""Graphs that may be there once for each size of chunk."""


def check_sizes(manifest: Manifest) -> None:
    """Refuse a manifest with a size of chunk that its graphs cannot play, with a BundleError."""
    _check_listed(manifest)
    _check_velocity(manifest)
    for frames in manifest.chunk_frames[1:]:
        try:
            _check_velocity(manifest.at(frames))
        except BundleError as error:
            raise BundleError(f"with chunks of {frames} frames, {error}") from None


def _check_listed(manifest: Manifest) -> None:
    """Every size once, and entries for the others only."""
    sizes = manifest.chunk_frames
    if not sizes or len(set(sizes)) < len(sizes):
        raise BundleError(
            f"manifest.chunk_frames is {list(sizes)}: it names each size of chunk once, "
            "the default first"
        )
    for name, size in manifest.sized.items():
        if name not in map(str, sizes[1:]):
            raise BundleError(
                f"manifest.sized.{name:.40} is no size beside the default; "
                f"manifest.chunk_frames is {list(sizes)}"
            )
        _check_whole(f"manifest.sized.{name}", size, SIZED_GRAPHS & set(manifest.graphs))


def _check_whole(place: str, size: SizeSpec, wanted: set[str]) -> None:
    if set(size.graphs) != wanted:
        raise BundleError(
            f"{place}.graphs has {', '.join(sorted(size.graphs)) or 'none'}, "
            f"expected {', '.join(sorted(wanted))}"
        )


def _check_velocity(manifest: Manifest) -> None:
    """What makes chunks of the default size."""
    _check_context(manifest)
    if manifest.context.kind == "window":
        _check_window(manifest)
    else:
        _check_cached(manifest)
    if manifest.prompting is not None:
        _check_conditioned(manifest, manifest.prompting)


def _check_context(manifest: Manifest) -> None:
    context = manifest.context
    if not 0.0 <= context.angle < 1.5:
        raise BundleError(f"manifest.context.angle is {context.angle:g}, expected 0 … 1.5 rad")
    if context.kind == "window" and manifest.ladder.depth > context.chunks:
        raise BundleError(
            f"manifest.ladder.depth is {manifest.ladder.depth}, "
            f"a window of {context.chunks} chunks cannot hold them"
        )


def _check_window(manifest: Manifest) -> None:
    graph = manifest.graphs["velocity"]
    chunk, dim = manifest.chunk_frames[0], manifest.latent.dim
    expect("velocity", graph.inputs, ("latents", (1, "window_frames", dim)))
    expect("velocity", graph.inputs, ("angle", (1, "window_frames")))
    expect("velocity", graph.outputs, ("velocity", (1, "window_frames", dim)))
    frames = graph.input("latents").shape[1]
    if isinstance(frames, int) and frames != manifest.context.chunks * chunk:
        raise BundleError(
            f"velocity: a window of {frames} frames is not {manifest.context.chunks} chunks of "
            f"{chunk} frames"
        )
    if graph.states:
        raise BundleError("velocity: a window context has no states")
    _check_conditions(manifest, graph, {"latents", "angle"})


def _check_cached(manifest: Manifest) -> None:
    """A row for each stream, and in it chunks that are finished or in flight."""
    graph = manifest.graphs["velocity"]
    dim, slots = manifest.latent.dim, manifest.context.chunks
    rows = ("batch", "chunks")
    expect("velocity", graph.inputs, ("latents", (*rows, "frames", dim)))
    expect("velocity", graph.inputs, ("angle", rows))
    expect("velocity", graph.inputs, ("position", rows), dtype="int64")
    expect("velocity", graph.inputs, ("filled", (*rows, slots)))
    expect("velocity", graph.inputs, ("sees", (*rows, "chunks")))
    expect("velocity", graph.inputs, ("before", rows), dtype="int64")
    expect("velocity", graph.outputs, ("velocity", (*rows, "frames", dim)))
    batch, chunks, frames, _ = graph.input("latents").shape
    if not isinstance(chunks, str):
        raise BundleError("velocity: latents has a fixed number of chunks; passes differ in it")
    if isinstance(frames, int) and frames != manifest.chunk_frames[0]:
        raise BundleError(
            f"velocity takes chunks of {frames} frames only, not of {manifest.chunk_frames[0]}"
        )
    if graph.position_period is None:
        raise BundleError("velocity has no position_period: a stream without end needs one")
    for state in graph.states:
        _check_ring(state, batch, slots)
    _check_conditions(manifest, graph, {"latents", "angle", "position", "filled", "sees", "before"})
    if "descend" in manifest.graphs:
        _check_descend(graph, manifest.graphs["descend"])


def _check_descend(velocity: GraphSpec, graph: GraphSpec) -> None:
    """What the velocity network takes, with a row of angles for each chunk, and its rings."""
    angles = TensorSpec("angles", "float32", ("batch", "rungs", "chunks"))
    wanted = {one.name: one for one in (*velocity.inputs, angles) if one.name != "angle"}
    if {one.name: one for one in graph.inputs} != wanted or graph.states != velocity.states:
        raise BundleError(
            f"descend takes {sorted(one.name for one in (*graph.inputs, *graph.states))}, "
            f"not what velocity takes: {sorted([*wanted, *(one.name for one in velocity.states)])}"
        )
    expect("descend", graph.outputs, ("descended", velocity.input("latents").shape))


def _check_ring(state: StateSpec, rows: int | str, slots: int) -> None:
    """A state of the velocity network: rows in front, then somewhere the slots of a ring."""
    expect_numbers("velocity", state, free=1)
    if state.ring_axis is None or state.ring_axis == 0 or state.shape[0] != rows:
        raise BundleError(
            f"velocity: state {state.name} is {list(state.shape)} with ring axis {state.ring_axis},"
            f" expected {rows} rows in front and a ring behind them"
        )
    if state.shape[state.ring_axis] != slots:
        raise BundleError(
            f"velocity: ring state {state.name} has {state.shape[state.ring_axis]} slots, "
            f"the context has {slots} chunks"
        )


def _check_conditions(manifest: Manifest, graph: GraphSpec, basic: set[str]) -> None:
    unknown = set(manifest.conditions) - set(CONDITIONS)
    if unknown:
        raise BundleError(f"manifest.conditions names {', '.join(sorted(unknown))}: not known here")
    found = {tensor.name for tensor in graph.inputs} - basic
    if found != set(manifest.conditions):
        raise BundleError(
            f"velocity takes {sorted(found)} beside its latents, "
            f"manifest.conditions says {sorted(manifest.conditions)}"
        )
    for name in found:
        expect_dtype("velocity", graph.input(name), CONDITIONS[name])


def _check_conditioned(manifest: Manifest, prompting: PromptingSpec) -> None:
    """Tokens and a brief for every chunk."""
    graph, frames = manifest.graphs["velocity"], manifest.chunk_frames[0]
    if frames % prompting.token_frames:
        raise BundleError(
            f"chunks of {frames} frames hold no whole number of tokens of {prompting.token_frames}"
        )
    expect("velocity", graph.inputs, ("tokens", ("batch", "chunks", "tokens")), "int64")
    found, tokens = graph.input("tokens").shape[2], frames // prompting.token_frames
    if isinstance(found, int) and found != tokens:
        raise BundleError(f"velocity: a chunk has {found} tokens, its frames make {tokens}")
    expect("velocity", graph.inputs, ("brief", ("batch", "chunks", prompting.brief_size)))
