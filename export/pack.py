"""Networks to a sealed bundle: export, compare, describe, play the golden chunks, seal.

Everything is written into a folder beside the target, which takes the target's place only when
the finished bundle has been opened and has played. A failure leaves what was there before.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engine.backends import has_int8, open_backend
from engine.brief import brief_size
from engine.bundle import MANIFEST, Bundle, seal
from engine.controls import default_controls, prompting_controls
from engine.errors import UsageError
from engine.golden import allowed, golden_latents
from engine.manifest import Manifest, SizeSpec
from engine.session import Floats
from engine.spec import (
    FADE_S,
    PULL,
    AudioSpec,
    ContextSpec,
    ControlSpec,
    GoldenSpec,
    LadderSpec,
    LatentSpec,
    PromptingSpec,
)
from engine.tensors import GraphSpec
from export.card import model_card
from export.forms import Forms, GraphWriter, Say
from export.networks import Networks, preset_name, round_off
from export.parity import measure_whole
from export.sizes import resized, size_spec, sized_graphs
from export.streams import CHUNKS
from model.training import last_figures
from model.velocity import VelocityNetwork

LICENCE_FILE = Path(__file__).resolve().parents[1] / "LICENSE"
WORDS_FILE = "words.json"
LADDER = LadderSpec(10, 1, (6, 4, 2))
PUSH, KEY_PULL, BEAT_PULL = 1.5, 4.0, 2.0
"""What `make adherence` found best on the shipped bundle, see bench/LOG.md."""
GOLDEN = GoldenSpec("golden.npz", seed=7, steps=4, chunks=2, tolerance=1e-3)
GOLDEN_SEEDS = 20
"""So many seeds are tried: with some, int8 tips a near tie over and draws another token."""


@dataclass(frozen=True, slots=True)
class Label:
    """What the manifest and the card say about a bundle beside its networks."""

    name: str = "live"
    version: str = "0.1.0"
    licence: str = "Apache-2.0"
    temperature: float = 1.0  # scale of the noise that chunks begin as
    guidance: float = 2.5  # how much a prompt counts
    pull: float = PULL  # how much of it the choice of tokens takes
    push: float = PUSH  # how much more right behind a change of what is asked
    fade_s: float = FADE_S  # in which that falls to 1/e
    key_pull: float = KEY_PULL  # how hard what does not fit a key is held back
    beat_pull: float = BEAT_PULL  # and what does not fit its place in the bar
    trained_on: str = ""
    note: str = ""
    ladder: LadderSpec = LADDER

    def __post_init__(self) -> None:
        """UsageError for a control that would start outside its range, or a pull that cannot be."""
        for name in ("pull", "push", "fade_s", "key_pull", "beat_pull"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0 and (value > 0 or name != "fade_s")):
                least = "more than 0" if name == "fade_s" else "0 or more"
                raise UsageError(f"{name} is {value:g}, it takes {least}")
        every = default_controls(self.ladder, self.temperature)
        for spec in (*every, *prompting_controls(1, self.guidance)):
            if not spec.minimum <= spec.default <= spec.maximum:
                raise UsageError(
                    f"{spec.name} is {spec.default:g}, it takes {spec.minimum:g} … {spec.maximum:g}"
                )


def pack(
    networks: Networks, out: Path, label: Label, *, accelerator: bool = True, int8: bool = False,
    sizes: Sequence[int] = (), measured: dict[str, float | str] | None = None, say: Say = print,
) -> Bundle:  # fmt: skip
    """Write the bundle `out`.

    `accelerator` adds the unrolled form of the velocity network, which CPUs play too; `int8` one
    with int8 products, for a CPU and one stream, and rounds it for that; `sizes` are those of
    chunks that can be played beside that trained on; `measured` goes into the manifest beside the
    figures found here.
    UsageError if `out` holds something else than a bundle, or for a size that cannot be;
    BundleError if a network is unfit or its export says something else.
    """
    refuse_occupied(out)
    others = [other_size(networks, frames) for frames in dict.fromkeys(sizes)]
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as holder:
        folder = Path(holder) / out.name
        folder.mkdir()
        figures = dict(measured or {}) | preset_name(networks) | round_off(networks, int8)
        writer = GraphWriter(folder, Forms(accelerator, int8), say)
        graphs = {graph.name: writer.write(graph) for graph in networks.graphs()}
        sized = {str(other.preset.chunk_frames): write_sized(other, writer) for other in others}
        figures |= writer.finish() | measure_language(networks, folder, say)
        manifest = describe(networks, label, graphs, figures, sized)
        parameters = {
            name: sum(p.numel() for p in part.parameters()) for name, part in networks.parts.items()
        }
        words = networks.prompting.words if networks.prompting else ()
        card = model_card(manifest, parameters, CHUNKS, label.note, len(words))
        (folder / "MODEL_CARD.md").write_text(card)
        if words:
            (folder / WORDS_FILE).write_text(json.dumps(words, indent=0))
        shutil.copyfile(LICENCE_FILE, folder / "LICENSE")
        play_golden(folder, manifest)
        replace_folder(folder, out, Path(holder) / "before")
    bundle = Bundle.open(out)
    say(f"{out}: {sum(f.bytes for f in bundle.manifest.files.values()) / 1e6:.1f} MB, sealed")
    return bundle


def refuse_occupied(out: Path) -> None:
    """UsageError unless `out` is free, an empty folder, or a bundle to be replaced."""
    if out.exists() and not (out / MANIFEST).exists() and (
        not out.is_dir() or any(out.iterdir())
    ):  # fmt: skip
        raise UsageError(f"{out} is there and is no bundle: name another place for it")


def replace_folder(new: Path, old: Path, aside: Path) -> None:
    """`new` takes the place of `old`, which goes aside."""
    if old.exists():
        old.rename(aside)
    new.rename(old)


def other_size(networks: Networks, frames: int) -> VelocityNetwork:
    """The velocity network with chunks of another size than that trained on; UsageError."""
    if networks.context != "cached" or frames == networks.velocity.preset.chunk_frames:
        raise UsageError(
            f"chunks of {frames} frames: another size than that trained on, in cached context"
        )
    return resized(networks.velocity, frames)


def write_sized(velocity: VelocityNetwork, writer: GraphWriter) -> SizeSpec:
    """Export what this size of chunk has graphs of its own for."""
    frames, graphs = velocity.preset.chunk_frames, sized_graphs(velocity)
    specs = {graph.name: writer.write(graph, f"{graph.name}.{frames}") for graph in graphs}
    return size_spec(velocity, specs)


def measure_language(networks: Networks, folder: Path, say: Say) -> dict[str, float | str]:
    """How far the language model, token by token, is from its pass over the whole."""
    if networks.prompting is None:
        return {}
    whole = measure_whole(networks.prompting.language, folder)
    say(f"language.onnx: {whole:.1e} from the whole pass, token by token")
    return {"parity.language.ort_whole": whole}


def describe(
    networks: Networks, label: Label, graphs: dict[str, GraphSpec],
    figures: dict[str, float | str], sized: Mapping[str, SizeSpec] | None = None,
) -> Manifest:  # fmt: skip
    """The manifest, without its files and its golden chunks."""
    audio, velocity = networks.autoencoder.preset, networks.velocity.preset
    return Manifest(
        name=label.name,
        version=label.version,
        licence=label.licence,
        audio=AudioSpec(audio.sample_rate_hz, audio.channels),
        latent=LatentSpec(audio.latent_rate_hz, audio.dim, audio.frame_samples),
        chunk_frames=(velocity.chunk_frames, *map(int, sized or ())),
        context=ContextSpec(
            networks.context, velocity.context_chunks, networks.velocity.context_angle
        ),
        ladder=label.ladder,
        conditions=velocity.conditions,
        controls=controls(networks, label),
        graphs=graphs,
        files={},
        prompting=prompting_spec(networks, label),
        trained_on=label.trained_on,
        measured=figures,
        sized=sized or {},
    )


def prompting_spec(networks: Networks, label: Label) -> PromptingSpec | None:
    """The manifest's section on prompts; None for networks without."""
    if networks.prompting is None:
        return None
    sizes, language = networks.prompting.mulan.sizes, networks.prompting.language.preset
    return PromptingSpec(
        embedding=sizes.embedding,
        codes=sizes.codes,
        vocabulary=language.vocabulary,
        token_frames=networks.velocity.preset.token_frames,
        language_context=language.context,
        words=WORDS_FILE,
        brief_size=brief_size(sizes.embedding),
        pull=label.pull,
        push=label.push,
        fade_s=label.fade_s,
        key_pull=label.key_pull,
        beat_pull=label.beat_pull,
    )


def controls(networks: Networks, label: Label) -> tuple[ControlSpec, ...]:
    """Those of every bundle, and with prompts those of what is asked."""
    every = default_controls(label.ladder, label.temperature)
    if networks.prompting is None:
        return every
    vocabulary = networks.prompting.language.preset.vocabulary
    return (*every, *prompting_controls(vocabulary, label.guidance))


def play_golden(folder: Path, manifest: Manifest) -> Bundle:
    """Let the engine itself play the first chunks, keep their latents, seal for good."""
    bundle = seal(folder, manifest.to_json())
    if manifest.conditions and manifest.prompting is None:
        return bundle  # the engine cannot play it by itself
    golden, latents = _agreed(bundle)
    np.savez(folder / golden.file, latents=latents)
    return seal(folder, replace(manifest, golden=golden).to_json())


def _agreed(bundle: Bundle) -> tuple[GoldenSpec, Floats]:
    """What the exact form plays with the first seed at which an int8 form plays the same music.

    With room to spare: half of what a backend may differ by. UsageError if there is no such seed.
    """
    exact = open_backend("ort", bundle)
    rounded = open_backend("ort-int8", bundle) if has_int8(bundle.manifest) else None
    for seed in range(GOLDEN.seed, GOLDEN.seed + GOLDEN_SEEDS):
        golden = replace(GOLDEN, seed=seed)
        latents = golden_latents(bundle, exact, golden)
        if rounded is None:
            return golden, latents
        error = float(np.abs(golden_latents(bundle, rounded, golden) - latents).max())
        if error <= allowed(golden, rounded) / 2:
            return golden, latents
    raise UsageError(
        f"the int8 form differs from the exact one by {error:.2g} after {GOLDEN.chunks} chunks, "
        f"with each of {GOLDEN_SEEDS} seeds: export without --compute int8"
    )


def training_figures(run: Path, part: str) -> dict[str, float | str]:
    """The last line of a run's log, as `training.PART.FIGURE`; nothing where there is no log."""
    return {
        f"training.{part}.{key}": value
        for key, value in last_figures(run).items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
