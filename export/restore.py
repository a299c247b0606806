"""`python -m export.restore --bundle BUNDLE --out RUN`: a bundle back into networks to train.

Writes the run folders RUN/autoencoder and RUN/velocity, and where the bundle takes prompts
RUN/semantic, RUN/language and RUN/mulan. They hold the networks as the bundle stores them, rounded,
and no state of an optimiser: a training starts from them (`--init`, `--autoencoder`), it does not
resume in them. Their logs say what the bundle says of their training. What only training reads is
not in a bundle, and is as it is in a new network.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch
from torch import nn

from engine.brief import brief_size
from engine.bundle import Bundle
from engine.errors import BundleError, UsageError
from engine.onnxfile import external_files
from export.command import answered
from export.networks import Networks
from export.pack import Label, describe
from export.parity import measure
from export.prompting import Prompting
from export.weights import named_weights, unread_weights
from model.autoencoder import LiveAutoencoder
from model.autoencoder_paper import PaperPreset
from model.language import LanguageModel
from model.mulan import Mulan, MulanSizes
from model.presets import PRESETS, Preset
from model.semantic import SemanticEncoder
from model.training import Budget, Run
from model.velocity import VelocityNetwork

Network = TypeVar("Network", bound=nn.Module)
Measured = Mapping[str, float | str]

COMPARED_CHUNKS = 3
"""Streamed chunks over which the restored networks are compared with the bundle's graphs."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The weights of a bundle by torch's names, and the names that no graph reads."""

    weights: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    p = argparse.ArgumentParser(prog="python -m export.restore", description=__doc__)
    p.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
    p.add_argument("--out", type=Path, required=True, help="where the run folders go")
    return p


def restore(bundle: Bundle) -> tuple[Networks, Preset]:
    """The networks of a bundle, compared with its graphs, and their preset.

    BundleError if the bundle is of no preset of this version, or its graphs do not fit it.
    """
    preset = preset_of(bundle)
    stored = read_weights(bundle)
    assert not isinstance(preset.autoencoder, PaperPreset), "preset_of refuses it"
    sizes = preset.prompted if bundle.manifest.prompting else preset.velocity
    networks = Networks(
        filled(LiveAutoencoder(preset.autoencoder), stored, "autoencoder", preset.name),
        filled(VelocityNetwork(sizes), stored, "velocity", preset.name),
        bundle.manifest.context.kind,
        prompting_of(bundle, stored, preset) if bundle.manifest.prompting else None,
    )
    refuse_misfit(bundle, networks, preset)
    for graph in networks.graphs():
        path = bundle.file(bundle.manifest.graphs[graph.name].file)
        measure(graph, path, COMPARED_CHUNKS)
    return networks, preset


def prompting_of(bundle: Bundle, stored: Stored, preset: Preset) -> Prompting:
    """The three networks behind a bundle's prompts."""
    sizes = MulanSizes(preset.semantic.hidden, len(bundle.words), preset.joint)
    brief = brief_size(preset.joint)
    return Prompting(
        filled(SemanticEncoder(preset.semantic, preset.autoencoder), stored, "semantic",
               preset.name),
        filled(LanguageModel(preset.language, brief), stored, "language", preset.name),
        filled(Mulan(sizes), stored, "mulan", preset.name),
        bundle.words,
    )  # fmt: skip


def preset_of(bundle: Bundle) -> Preset:
    """The preset that the manifest names under `measured`; BundleError if there is none such."""
    name = bundle.manifest.measured.get("preset")
    known = [n for n, p in PRESETS.items() if not isinstance(p.autoencoder, PaperPreset)]
    if name not in known:
        raise BundleError(
            f"bundle {bundle.manifest.name} is of preset {name!r:.40}, known here are "
            f"{', '.join(known)}: restore it with the version that exported it"
        )
    return PRESETS[str(name)]


def read_weights(bundle: Bundle) -> Stored:
    """The weights of all graphs, in torch's layout, named `autoencoder.…`, `velocity.…`."""
    stored = Stored()
    for graph in bundle.manifest.graphs.values():
        path = bundle.file(graph.file)
        foreign = external_files(path) - set(bundle.manifest.files)
        if foreign:
            raise BundleError(f"{graph.file} wants data from files the bundle lacks")
        model = ir.load(path)
        stored.weights.update(named_weights(model))
        stored.unread.update(unread_weights(model))
    return stored


def filled(network: Network, stored: Stored, part: str, preset: str) -> Network:
    """The network with the weights of its part; BundleError unless each has one that fits.

    Those that no graph reads stay as they are.
    """
    state = network.state_dict()
    for name, own in state.items():
        found = stored.weights.get(f"{part}.{name}")
        if found is None and f"{part}.{name}" in stored.unread:
            continue
        if found is None or found.shape != own.shape:
            held = "none" if found is None else f"one of {found.shape}"
            raise BundleError(
                f"preset {preset} wants a weight {part}.{name} of {tuple(own.shape)}, the bundle "
                f"holds {held}: restore it with the version that exported it"
            )
        state[name] = torch.from_numpy(found.copy())
    network.load_state_dict(state)
    return network.eval()


def refuse_misfit(bundle: Bundle, networks: Networks, preset: Preset) -> None:
    """BundleError unless the networks would be described as the bundle is."""
    manifest = replace(bundle.manifest, chunk_frames=bundle.manifest.chunk_frames[:1])  # the usual
    graphs = {
        graph.name: graph.spec(
            manifest.graphs[graph.name].file, manifest.graphs[graph.name].variants
        )
        for graph in networks.graphs()
        if graph.name in manifest.graphs
    }
    wanted = describe(networks, Label(), graphs, {})
    for part in ("audio", "latent", "chunk_frames", "context", "conditions", "graphs"):
        if getattr(manifest, part) != getattr(wanted, part):
            raise BundleError(
                f"bundle {manifest.name} differs from preset {preset.name} in manifest.{part}: "
                "restore it with the version that exported it"
            )


def write(networks: Networks, preset: Preset, out: Path, measured: Measured) -> list[Path]:
    """Write the run folders; UsageError, and nothing written, if one of them is a training.

    `measured` is that of the bundle's manifest.
    """
    parts: dict[str, nn.Module] = {
        "autoencoder": networks.autoencoder, "velocity": networks.velocity
    }  # fmt: skip
    conditions = list(networks.velocity.preset.conditions)
    facts: dict[str, dict[str, Any]] = {
        "velocity": {"context": networks.context, "conditions": conditions}
    }
    if networks.prompting is not None:
        parts |= networks.prompting.parts
        sizes, words = networks.prompting.mulan.sizes, networks.prompting.words
        facts["mulan"] = {"sizes": asdict(sizes), "words": list(words)}
    for name in parts:
        refuse_training(out / name)
    for name, network in parts.items():
        run = Run(out / name, Budget(steps=1, minutes=1.0))
        run.save({"average": network}, preset=preset.name, **facts.get(name, {}))
        run.log_path.unlink(missing_ok=True)
        if known := trained(measured, name):
            run.log_path.write_text(json.dumps(known) + "\n")
    return [out / name for name in parts]


def trained(measured: Measured, part: str) -> Measured:
    """What a manifest says of the training of one part, by the names that its log has."""
    start = f"training.{part}."
    return {
        name.removeprefix(start): value
        for name, value in measured.items()
        if name.startswith(start)
    }


def refuse_training(run: Path) -> None:
    """UsageError if the run folder holds more than restored weights."""
    checkpoint = run / "checkpoint.pt"
    if checkpoint.exists() and "network" in torch.load(checkpoint, weights_only=True):
        raise UsageError(f"{run} holds a training: name another place for what is restored")


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit code is that of the error."""
    args = parser().parse_args(argv)

    def work() -> None:
        bundle = Bundle.open(args.bundle)
        networks, preset = restore(bundle)
        folders = write(networks, preset, args.out, bundle.manifest.measured)
        print(f"{', '.join(map(str, folders))}: preset {preset.name}")

    return answered("restore", work)


if __name__ == "__main__":
    raise SystemExit(main())
