"""Networks to a sealed bundle: export, compare, describe, play the golden chunks, seal.

Everything is written into a folder beside the target, which takes the target's place only when
the finished bundle has been opened and has played. A failure leaves what was there before.
"""

from __future__ import annotations

import copy
import json
import math
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from torch import nn

from engine.backends import open_backend
from engine.bundle import MANIFEST, Bundle, seal
from engine.controls import default_controls
from engine.errors import UsageError
from engine.generator import golden_latents
from engine.spec import (
    AudioSpec,
    ContextSpec,
    GoldenSpec,
    GraphSpec,
    LadderSpec,
    LatentSpec,
    Manifest,
)
from export.card import model_card
from export.graphs import Graph, decoder_graph, encoder_graph, velocity_graph
from export.onnx_graph import to_onnx
from export.parity import CHUNKS, in_torch, measure, stream
from export.weights import Pool, note_names, refuse_unusable, round_to_half
from model.autoencoder import LiveAutoencoder
from model.presets import PRESETS
from model.velocity import VelocityNetwork

LICENCE_FILE = Path(__file__).resolve().parents[1] / "LICENSE"
LADDER = LadderSpec(10, 1, (6, 4, 2))
GOLDEN = GoldenSpec("golden.npz", seed=7, steps=4, chunks=2, tolerance=1e-3)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Label:
    """What the manifest and the card say about a bundle beside its networks."""

    name: str = "live"
    version: str = "0.1.0"
    licence: str = "Apache-2.0"
    temperature: float = 1.0  # scale of the noise that chunks begin as
    trained_on: str = ""
    note: str = ""
    ladder: LadderSpec = LADDER


@dataclass(frozen=True, slots=True)
class Networks:
    """A trained pair; the velocity network's context is `cached` or `window`."""

    autoencoder: LiveAutoencoder
    velocity: VelocityNetwork
    context: str

    def __post_init__(self) -> None:
        made, read = self.autoencoder.preset.dim, self.velocity.preset.dim
        if made != read:
            raise UsageError(
                f"the autoencoder makes latents of {made} values a frame, the velocity network "
                f"reads {read}: they were not trained for each other"
            )

    @property
    def parts(self) -> dict[str, nn.Module]:
        """The three networks by the names of their graphs."""
        autoencoder = self.autoencoder
        return {
            "encoder": autoencoder.encoder,
            "decoder": autoencoder.decoder,
            "velocity": self.velocity,
        }

    def graphs(self) -> list[Graph]:
        """All of them as the engine meets them."""
        return [
            encoder_graph(self.autoencoder),
            decoder_graph(self.autoencoder),
            velocity_graph(self.velocity, self.context),
        ]


def pack(
    networks: Networks, out: Path, label: Label, *, accelerator: bool = True,
    measured: dict[str, float | str] | None = None, say: Say = print,
) -> Bundle:  # fmt: skip
    """Write the bundle `out`.

    `accelerator` adds the unrolled form of the velocity network, `measured` goes into the
    manifest beside the figures found here. UsageError if `out` holds something else than a
    bundle, BundleError if a network is unfit or its export says something else.
    """
    refuse_occupied(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as holder:
        folder = Path(holder) / out.name
        folder.mkdir()
        figures = dict(measured or {}) | preset_name(networks) | half_figures(networks)
        graphs = write_graphs(networks, folder, accelerator, figures, say)
        manifest = describe(networks, label, graphs, figures)
        parameters = {
            name: sum(p.numel() for p in part.parameters()) for name, part in networks.parts.items()
        }
        card = model_card(manifest, parameters, CHUNKS, label.note)
        (folder / "MODEL_CARD.md").write_text(card)
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


def preset_name(networks: Networks) -> dict[str, float | str]:
    """`preset`: the name of the networks' sizes; nothing where they have none."""
    sizes = (networks.autoencoder.preset, networks.velocity.preset)
    names = [p.name for p in PRESETS.values() if (p.autoencoder, p.velocity) == sizes]
    return {"preset": names[0]} if names else {}


def half_figures(networks: Networks) -> dict[str, float | str]:
    """Round the networks to what the bundle stores, in place; how much each graph changed."""
    for name, part in networks.parts.items():
        refuse_unusable(part, name)
    samples = networks.autoencoder.preset.frame_samples
    exact = copy.deepcopy(networks)
    for part in networks.parts.values():
        round_to_half(part)
    figures: dict[str, float | str] = {}
    for before, after in zip(exact.graphs(), networks.graphs(), strict=True):
        one, other = (
            stream(g, in_torch(g, torch.float32), samples, chunks=4) for g in (before, after)
        )
        scale = float(np.sqrt(np.square(one).mean()))
        change = float(np.sqrt(np.square(one - other).mean()))
        figures[f"half.{before.name}"] = change / max(scale, 1e-30)
    return figures


def write_graphs(
    networks: Networks, folder: Path, accelerator: bool, figures: dict[str, float | str], say: Say
) -> dict[str, GraphSpec]:
    """Export every graph in every form, compare each with torch; figures are added to."""
    samples = networks.autoencoder.preset.frame_samples
    pool = Pool(folder / "weights.data")
    specs, written = {}, []
    for graph in networks.graphs():
        forms = {f"{graph.name}.onnx": True}
        if accelerator and graph.name == "velocity":
            forms["velocity.unrolled.onnx"] = False
        for file, scan in forms.items():
            say(f"{file}: exporting")
            model = to_onnx(graph, samples, scan)
            note_names(model, graph.module)
            pool.take(model)
            ir.save(model, folder / file)
            written.append((graph, file))
        names = dict(zip(("cpu", "accelerator"), forms, strict=False)) if len(forms) > 1 else {}
        specs[graph.name] = graph.spec(f"{graph.name}.onnx", names)
    pool.write()
    for graph, file in written:
        parity = measure(graph, folder / file, samples)
        figures |= parity.figures(file.removesuffix(".onnx"))
        say(f"{file}: {parity.against_torch:.1e} from torch over {CHUNKS} streamed chunks")
    return specs


def describe(
    networks: Networks, label: Label, graphs: dict[str, GraphSpec],
    figures: dict[str, float | str],
) -> Manifest:  # fmt: skip
    """The manifest, without its files and its golden chunks."""
    audio, velocity = networks.autoencoder.preset, networks.velocity.preset
    return Manifest(
        name=label.name,
        version=label.version,
        licence=label.licence,
        audio=AudioSpec(audio.sample_rate_hz, audio.channels),
        latent=LatentSpec(audio.latent_rate_hz, audio.dim, audio.frame_samples),
        chunk_frames=(velocity.chunk_frames,),
        context=ContextSpec(
            networks.context, velocity.context_chunks, networks.velocity.context_angle
        ),
        ladder=label.ladder,
        conditions=velocity.conditions,
        controls=default_controls(label.ladder, label.temperature),
        graphs=graphs,
        files={},
        trained_on=label.trained_on,
        measured=figures,
    )


def play_golden(folder: Path, manifest: Manifest) -> Bundle:
    """Let the engine itself play the first chunks, keep their latents, seal for good."""
    bundle = seal(folder, manifest.to_json())
    if manifest.conditions:
        return bundle  # the engine cannot play it by itself
    latents = golden_latents(bundle, open_backend("ort", bundle), GOLDEN)
    np.savez(folder / GOLDEN.file, latents=latents)
    return seal(folder, replace(manifest, golden=GOLDEN).to_json())


def training_figures(run: Path, part: str) -> dict[str, float | str]:
    """The last line of a run's log, as `training.PART.FIGURE`; nothing where there is no log."""
    log = run / "log.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    last = json.loads(lines[-1]) if lines else {}
    return {
        f"training.{part}.{key}": value
        for key, value in last.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
