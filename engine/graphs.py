"""Do the graphs of a manifest fit each other, the audio, the latents and every size of chunk?"""

from __future__ import annotations

from engine.brief import brief_size
from engine.clock import CLOCK_SIZE, EVIDENCE_SIZE
from engine.errors import BundleError
from engine.expecting import expect, expect_numbers
from engine.manifest import Manifest
from engine.sizes import check_sizes
from engine.spec import PromptingSpec
from engine.tensors import Shape

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
    if manifest.prompting is not None:
        _check_prompting(manifest, manifest.prompting)
    elif "brief" in manifest.conditions:
        raise BundleError("manifest.conditions names brief, but there is no manifest.prompting")
    check_sizes(manifest)


def _check_rates(manifest: Manifest) -> None:
    latent, audio = manifest.latent, manifest.audio
    if latent.rate_hz * latent.frame_samples != audio.sample_rate_hz:
        raise BundleError(
            f"manifest: {latent.rate_hz} frames/s of {latent.frame_samples} samples do not make "
            f"{audio.sample_rate_hz} Hz"
        )


def _check_encoder(manifest: Manifest) -> None:
    graph = manifest.graphs["encoder"]
    expect("encoder", graph.inputs, ("audio", (1, manifest.audio.channels, "samples")))
    expect("encoder", graph.outputs, ("latents", (1, "frames", manifest.latent.dim)))
    if graph.states:
        raise BundleError("encoder has states: it is run once on a whole take")


def _check_decoder(manifest: Manifest) -> None:
    graph = manifest.graphs["decoder"]
    expect("decoder", graph.inputs, ("latents", (1, "frames", manifest.latent.dim)))
    expect("decoder", graph.outputs, ("audio", (1, manifest.audio.channels, "samples")))
    for state in graph.states:
        if state.ring_axis is not None:
            raise BundleError(f"decoder: state {state.name} has a ring axis; only velocity has")
        expect_numbers("decoder", state)


def _check_prompting(manifest: Manifest, prompting: PromptingSpec) -> None:
    """The graphs behind a prompt and the language model; the conditions are what they lead to."""
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
    _check_embedding(manifest, prompting)
    _check_language(manifest, prompting)


def _check_embedding(manifest: Manifest, prompting: PromptingSpec) -> None:
    """Audio and words to the joint space, and from there to codes."""
    graphs, place = manifest.graphs, (1, prompting.embedding)
    semantic, music = graphs["semantic"], graphs["music"]
    expect("semantic", semantic.inputs, ("audio", (1, manifest.audio.channels, "samples")))
    expect("semantic", semantic.outputs, ("tokens", (1, "tokens")), "int64")
    expect("semantic", semantic.outputs, ("features", (1, "tokens", "features")))
    features = next(t for t in semantic.outputs if t.name == "features").shape
    expect("music", music.inputs, ("features", features))
    expect("music", music.outputs, ("embedding", place))
    expect("text", graphs["text"].inputs, ("words", (1, "words")), "int64")
    expect("text", graphs["text"].outputs, ("embedding", place))
    expect("quantise", graphs["quantise"].inputs, ("embedding", place))
    expect("quantise", graphs["quantise"].outputs, ("codes", (1, prompting.codes)), "int64")
    expect("quantise", graphs["quantise"].outputs, ("quantised", place))
    expect("prefix", graphs["prefix"].inputs, ("codes", (1, prompting.codes)), "int64")


def _check_language(manifest: Manifest, prompting: PromptingSpec) -> None:
    graph, slots = manifest.graphs["language"], prompting.language_context
    prefix: Shape = (1, "layers", prompting.codes, "values")
    expect("prefix", manifest.graphs["prefix"].outputs, ("prefix", prefix))
    expect("language", graph.inputs, ("tokens", (1, "n")), "int64")
    expect("language", graph.inputs, ("brief", (1, prompting.brief_size)))
    expect("language", graph.inputs, ("clock", (1, "n", CLOCK_SIZE)))
    expect("language", graph.inputs, ("position", (1,)), "int64")
    expect("language", graph.inputs, ("filled", (1, slots)))
    made = next(t for t in manifest.graphs["prefix"].outputs if t.name == "prefix")
    expect("language", graph.inputs, ("prefix", made.shape))
    expect("language", graph.outputs, ("logits", (1, "n", prompting.vocabulary)))
    lean = manifest.graphs["lean"]
    expect("lean", lean.inputs, ("brief", (1, prompting.brief_size)))
    expect("lean", lean.outputs, ("lean", (1, prompting.vocabulary)))
    evidence = manifest.graphs["evidence"]
    expect("evidence", evidence.inputs, ("tokens", (1, "n")), "int64")
    expect("evidence", evidence.outputs, ("evidence", (1, "n", EVIDENCE_SIZE)))
    if graph.position_period is None:
        raise BundleError("language has no position_period: a stream without end needs one")
    for state in graph.states:
        expect_numbers("language", state)
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
    expect("write", graph.inputs, ("token", (1, 1)), "int64")
    expect("write", graph.inputs, ("favour", noise))
    expect("write", graph.inputs, ("filled", (1, "n", prompting.language_context)))
    for name in ("brief", "clock", "position", "prefix"):
        told = language.input(name)
        expect("write", graph.inputs, (name, told.shape), told.dtype)
    expect("write", graph.outputs, ("logits", noise))
    expect("write", graph.outputs, ("tokens", (1, "n")), "int64")
    if (graph.states, graph.position_period) != (language.states, language.position_period):
        raise BundleError("write: its states or its position_period are not those of language")
