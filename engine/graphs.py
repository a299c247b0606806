"""Do the graphs of a manifest fit each other, the audio, the latents and the context?"""

from __future__ import annotations

from engine.brief import brief_size
from engine.clock import CLOCK_SIZE, EVIDENCE_SIZE
from engine.errors import BundleError
from engine.spec import GraphSpec, Manifest, PromptingSpec, Shape, StateSpec, TensorSpec

CONDITIONS = {"tokens": "int64", "brief": "float32", "guide": "float32"}
"""What a velocity network may be conditioned on; nothing here gives a guide yet."""

GRAPHS = ("encoder", "decoder", "velocity")
PROMPTING_GRAPHS = (
    "semantic", "music", "text", "quantise", "prefix", "language", "lean", "evidence",
)  # fmt: skip


def check_graphs(manifest: Manifest) -> None:
    """Refuse a manifest whose parts contradict each other, with both figures in the BundleError."""
    _check_rates(manifest)
    for name in GRAPHS:
        if name not in manifest.graphs:
            raise BundleError(f"manifest.graphs has no {name}: the bundle is incomplete")
    _check_encoder(manifest)
    _check_decoder(manifest)
    if manifest.context.kind == "window":
        _check_window(manifest)
    else:
        _check_cached(manifest)
    if manifest.prompting is not None:
        _check_prompting(manifest, manifest.prompting)
    elif "brief" in manifest.conditions:
        raise BundleError("manifest.conditions names brief, but there is no manifest.prompting")


def _check_rates(manifest: Manifest) -> None:
    latent, audio, context = manifest.latent, manifest.audio, manifest.context
    if latent.rate_hz * latent.frame_samples != audio.sample_rate_hz:
        raise BundleError(
            f"manifest: {latent.rate_hz} frames/s of {latent.frame_samples} samples do not make "
            f"{audio.sample_rate_hz} Hz"
        )
    if not manifest.chunk_frames:
        raise BundleError("manifest.chunk_frames is empty: it names the sizes trained on")
    if not 0.0 <= context.angle < 1.5:
        raise BundleError(f"manifest.context.angle is {context.angle:g}, expected 0 … 1.5 rad")
    if context.kind == "window" and manifest.ladder.depth > context.chunks:
        raise BundleError(
            f"manifest.ladder.depth is {manifest.ladder.depth}, "
            f"a window of {context.chunks} chunks cannot hold them"
        )
    unknown = set(manifest.conditions) - set(CONDITIONS)
    if unknown:
        raise BundleError(f"manifest.conditions names {', '.join(sorted(unknown))}: not known here")


def _check_encoder(manifest: Manifest) -> None:
    graph = manifest.graphs["encoder"]
    _expect("encoder", graph.inputs, ("audio", (1, manifest.audio.channels, "samples")))
    _expect("encoder", graph.outputs, ("latents", (1, "frames", manifest.latent.dim)))
    if graph.states:
        raise BundleError("encoder has states: it is run once on a whole take")


def _check_decoder(manifest: Manifest) -> None:
    graph = manifest.graphs["decoder"]
    _expect("decoder", graph.inputs, ("latents", (1, "frames", manifest.latent.dim)))
    _expect("decoder", graph.outputs, ("audio", (1, manifest.audio.channels, "samples")))
    for state in graph.states:
        if state.ring_axis is not None:
            raise BundleError(f"decoder: state {state.name} has a ring axis; only velocity has")
        _numbers("decoder", state)


def _check_window(manifest: Manifest) -> None:
    graph = manifest.graphs["velocity"]
    dim = manifest.latent.dim
    _expect("velocity", graph.inputs, ("latents", (1, "window_frames", dim)))
    _expect("velocity", graph.inputs, ("angle", (1, "window_frames")))
    _expect("velocity", graph.outputs, ("velocity", (1, "window_frames", dim)))
    frames = graph.input("latents").shape[1]
    fitting = [manifest.context.chunks * chunk for chunk in manifest.chunk_frames]
    if isinstance(frames, int) and frames not in fitting:
        raise BundleError(
            f"velocity: a window of {frames} frames is not {manifest.context.chunks} chunks of "
            f"{manifest.chunk_frames} frames"
        )
    if graph.states:
        raise BundleError("velocity: a window context has no states")
    _check_conditions(manifest, graph, {"latents", "angle"})


def _check_cached(manifest: Manifest) -> None:
    """A row for each stream, and in it chunks that are finished or in flight."""
    graph = manifest.graphs["velocity"]
    dim, slots = manifest.latent.dim, manifest.context.chunks
    rows = ("batch", "chunks")
    _expect("velocity", graph.inputs, ("latents", (*rows, "frames", dim)))
    _expect("velocity", graph.inputs, ("angle", rows))
    _expect("velocity", graph.inputs, ("position", rows), dtype="int64")
    _expect("velocity", graph.inputs, ("filled", (*rows, slots)))
    _expect("velocity", graph.inputs, ("sees", (*rows, "chunks")))
    _expect("velocity", graph.inputs, ("before", rows), dtype="int64")
    _expect("velocity", graph.outputs, ("velocity", (*rows, "frames", dim)))
    if not isinstance(graph.input("latents").shape[1], str):
        raise BundleError("velocity: latents has a fixed number of chunks; passes differ in it")
    if graph.position_period is None:
        raise BundleError("velocity has no position_period: a stream without end needs one")
    for state in graph.states:
        _check_ring(state, graph.input("latents").shape[0], slots)
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
    _expect("descend", graph.outputs, ("descended", velocity.input("latents").shape))


def _check_ring(state: StateSpec, rows: int | str, slots: int) -> None:
    """A state of the velocity network: rows in front, then somewhere the slots of a ring."""
    _numbers("velocity", state, free=1)
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
    found = {tensor.name for tensor in graph.inputs} - basic
    if found != set(manifest.conditions):
        raise BundleError(
            f"velocity takes {sorted(found)} beside its latents, "
            f"manifest.conditions says {sorted(manifest.conditions)}"
        )
    for name in found:
        _expect_dtype("velocity", graph.input(name), CONDITIONS[name])


def _check_prompting(manifest: Manifest, prompting: PromptingSpec) -> None:
    """The graphs behind a prompt, the language model, and the two conditions they lead to."""
    if set(manifest.conditions) != {"tokens", "brief"} or manifest.context.kind != "cached":
        raise BundleError(
            f"manifest.prompting goes with a cached context and the conditions brief and tokens; "
            f"it is {manifest.context.kind}, with {', '.join(manifest.conditions) or 'none'}"
        )
    for name in PROMPTING_GRAPHS:
        if name not in manifest.graphs:
            raise BundleError(f"manifest.graphs has no {name}: a bundle with prompting needs it")
    size = brief_size(prompting.embedding)
    if prompting.brief_size != size:
        raise BundleError(
            f"manifest.prompting.brief_size is {prompting.brief_size}, this engine writes {size}: "
            "use a bundle and an engine of the same release"
        )
    _check_conditioned(manifest, prompting)
    _check_embedding(manifest, prompting)
    _check_language(manifest, prompting)


def _check_conditioned(manifest: Manifest, prompting: PromptingSpec) -> None:
    graph = manifest.graphs["velocity"]
    tokens = {frames // prompting.token_frames for frames in manifest.chunk_frames}
    if any(frames % prompting.token_frames for frames in manifest.chunk_frames):
        raise BundleError(
            f"chunks of {manifest.chunk_frames} frames hold no whole number of tokens of "
            f"{prompting.token_frames}"
        )
    _expect("velocity", graph.inputs, ("tokens", ("batch", "chunks", "tokens")), "int64")
    found = graph.input("tokens").shape[2]
    if isinstance(found, int) and tokens != {found}:
        raise BundleError(f"velocity: a chunk has {found} tokens, its frames make {sorted(tokens)}")
    _expect("velocity", graph.inputs, ("brief", ("batch", "chunks", prompting.brief_size)))


def _check_embedding(manifest: Manifest, prompting: PromptingSpec) -> None:
    """Audio and words to the joint space, and from there to codes."""
    graphs, place = manifest.graphs, (1, prompting.embedding)
    semantic, music = graphs["semantic"], graphs["music"]
    _expect("semantic", semantic.inputs, ("audio", (1, manifest.audio.channels, "samples")))
    _expect("semantic", semantic.outputs, ("tokens", (1, "tokens")), "int64")
    _expect("semantic", semantic.outputs, ("features", (1, "tokens", "features")))
    features = next(t for t in semantic.outputs if t.name == "features").shape
    _expect("music", music.inputs, ("features", features))
    _expect("music", music.outputs, ("embedding", place))
    _expect("text", graphs["text"].inputs, ("words", (1, "words")), "int64")
    _expect("text", graphs["text"].outputs, ("embedding", place))
    _expect("quantise", graphs["quantise"].inputs, ("embedding", place))
    _expect("quantise", graphs["quantise"].outputs, ("codes", (1, prompting.codes)), "int64")
    _expect("quantise", graphs["quantise"].outputs, ("quantised", place))
    _expect("prefix", graphs["prefix"].inputs, ("codes", (1, prompting.codes)), "int64")


def _check_language(manifest: Manifest, prompting: PromptingSpec) -> None:
    graph, slots = manifest.graphs["language"], prompting.language_context
    prefix: Shape = (1, "layers", prompting.codes, "values")
    _expect("prefix", manifest.graphs["prefix"].outputs, ("prefix", prefix))
    _expect("language", graph.inputs, ("tokens", (1, "n")), "int64")
    _expect("language", graph.inputs, ("brief", (1, prompting.brief_size)))
    _expect("language", graph.inputs, ("clock", (1, "n", CLOCK_SIZE)))
    _expect("language", graph.inputs, ("position", (1,)), "int64")
    _expect("language", graph.inputs, ("filled", (1, slots)))
    made = next(t for t in manifest.graphs["prefix"].outputs if t.name == "prefix")
    _expect("language", graph.inputs, ("prefix", made.shape))
    _expect("language", graph.outputs, ("logits", (1, "n", prompting.vocabulary)))
    lean = manifest.graphs["lean"]
    _expect("lean", lean.inputs, ("brief", (1, prompting.brief_size)))
    _expect("lean", lean.outputs, ("lean", (1, prompting.vocabulary)))
    evidence = manifest.graphs["evidence"]
    _expect("evidence", evidence.inputs, ("tokens", (1, "n")), "int64")
    _expect("evidence", evidence.outputs, ("evidence", (1, "n", EVIDENCE_SIZE)))
    if graph.position_period is None:
        raise BundleError("language has no position_period: a stream without end needs one")
    for state in graph.states:
        _numbers("language", state)
        axis = state.ring_axis
        if not axis or state.shape[0] != 1 or state.shape[axis] != slots:
            raise BundleError(
                f"language: state {state.name} is {list(state.shape)} with ring axis "
                f"{axis}, expected [1, …] with {slots} slots in its ring axis"
            )
    if "write" in manifest.graphs:
        _check_write(manifest, prompting)


def _check_write(manifest: Manifest, prompting: PromptingSpec) -> None:
    """A run of tokens behind the rings of `language`."""
    graph, language = manifest.graphs["write"], manifest.graphs["language"]
    noise = (1, "n", prompting.vocabulary)
    _expect("write", graph.inputs, ("token", (1, 1)), "int64")
    _expect("write", graph.inputs, ("favour", noise))
    _expect("write", graph.inputs, ("filled", (1, "n", prompting.language_context)))
    for name in ("brief", "clock", "position", "prefix"):
        told = language.input(name)
        _expect("write", graph.inputs, (name, told.shape), told.dtype)
    _expect("write", graph.outputs, ("logits", noise))
    _expect("write", graph.outputs, ("tokens", (1, "n")), "int64")
    if (graph.states, graph.position_period) != (language.states, language.position_period):
        raise BundleError("write: its states or its position_period are not those of language")


def _expect(
    graph: str, tensors: tuple[TensorSpec, ...], wanted: tuple[str, Shape], dtype: str = "float32"
) -> None:
    """The tensor is there with that rank, dtype and those sizes; a wanted name fits any size."""
    name, shape = wanted
    found = [tensor for tensor in tensors if tensor.name == name]
    if len(found) != 1:
        names = ", ".join(tensor.name for tensor in tensors)
        raise BundleError(f"{graph} has no single tensor {name} (it has: {names})")
    fits = len(found[0].shape) == len(shape) and all(
        isinstance(want, str) or have == want
        for have, want in zip(found[0].shape, shape, strict=True)
    )
    if not fits:
        raise BundleError(f"{graph}: {name} is {list(found[0].shape)}, expected {list(shape)}")
    _expect_dtype(graph, found[0], dtype)


def _expect_dtype(graph: str, tensor: TensorSpec, dtype: str) -> None:
    if tensor.dtype != dtype:
        raise BundleError(f"{graph}: {tensor.name} is {tensor.dtype}, expected {dtype}")


def _numbers(graph: str, state: StateSpec, free: int = 0) -> None:
    """float32 of a fixed shape, but for the first `free` axes."""
    if any(isinstance(axis, str) for axis in state.shape[free:]) or state.dtype != "float32":
        raise BundleError(
            f"{graph}: state {state.name} is {state.dtype}{list(state.shape)}, "
            "expected float32 with a fixed shape"
        )
