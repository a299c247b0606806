"""`python -m export.restore --bundle BUNDLE --out RUN`: a bundle back into networks to train.

Writes the run folders RUN/autoencoder and RUN/velocity. They hold the networks as the bundle
stores them, matrices at half precision, and no state of an optimiser: a training starts from them
(`--init`, `--autoencoder`), it does not resume in them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch
from torch import nn

from engine.bundle import Bundle
from engine.errors import BundleError, PerpetuoError, UsageError
from engine.onnxfile import external_files
from export.pack import Label, Networks, describe
from export.parity import measure
from export.weights import named_weights
from model.autoencoder import LiveAutoencoder
from model.presets import PRESETS, Preset
from model.training import Budget, Run
from model.velocity import VelocityNetwork

Network = TypeVar("Network", bound=nn.Module)
Weights = dict[str, npt.NDArray[np.float32]]

COMPARED_CHUNKS = 3
"""Streamed chunks over which the restored networks are compared with the bundle's graphs."""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    p = argparse.ArgumentParser(prog="python -m export.restore", description=__doc__)
    p.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
    p.add_argument("--out", type=Path, required=True, help="where the two run folders go")
    return p


def restore(bundle: Bundle) -> tuple[Networks, Preset]:
    """The networks of a bundle, compared with its graphs, and their preset.

    BundleError if the bundle is of no preset of this version, or its graphs do not fit it.
    """
    preset = preset_of(bundle)
    weights = read_weights(bundle)
    networks = Networks(
        filled(LiveAutoencoder(preset.autoencoder), weights, "autoencoder", preset.name),
        filled(VelocityNetwork(preset.velocity), weights, "velocity", preset.name),
        bundle.manifest.context.kind,
    )
    refuse_misfit(bundle, networks, preset)
    for graph in networks.graphs():
        path = bundle.file(bundle.manifest.graphs[graph.name].file)
        measure(graph, path, preset.autoencoder.frame_samples, COMPARED_CHUNKS)
    return networks, preset


def preset_of(bundle: Bundle) -> Preset:
    """The preset that the manifest names under `measured`; BundleError if there is none such."""
    name = bundle.manifest.measured.get("preset")
    if name not in PRESETS:
        raise BundleError(
            f"bundle {bundle.manifest.name} is of preset {name!r:.40}, known here are "
            f"{', '.join(PRESETS)}: restore it with the version that exported it"
        )
    return PRESETS[str(name)]


def read_weights(bundle: Bundle) -> Weights:
    """The weights of all graphs, in torch's layout, named `autoencoder.…` and `velocity.…`."""
    weights: Weights = {}
    for graph in bundle.manifest.graphs.values():
        path = bundle.file(graph.file)
        foreign = external_files(path) - set(bundle.manifest.files)
        if foreign:
            raise BundleError(f"{graph.file} wants data from files the bundle lacks")
        weights |= named_weights(ir.load(path))
    return weights


def filled(network: Network, weights: Weights, part: str, preset: str) -> Network:
    """The network with the weights of its part; BundleError unless each has one that fits."""
    state = {}
    for name, own in network.state_dict().items():
        found = weights.get(f"{part}.{name}")
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
    manifest = bundle.manifest
    graphs = {
        graph.name: graph.spec(
            manifest.graphs[graph.name].file, manifest.graphs[graph.name].variants
        )
        for graph in networks.graphs()
    }
    wanted = describe(networks, Label(), graphs, {})
    for part in ("audio", "latent", "chunk_frames", "context", "conditions", "graphs"):
        if getattr(manifest, part) != getattr(wanted, part):
            raise BundleError(
                f"bundle {manifest.name} differs from preset {preset.name} in manifest.{part}: "
                "restore it with the version that exported it"
            )


def write(networks: Networks, preset: Preset, out: Path) -> None:
    """Write both run folders; UsageError, and nothing written, if one of them is a training."""
    parts = {"autoencoder": networks.autoencoder, "velocity": networks.velocity}
    for name in parts:
        refuse_training(out / name)
    for name, network in parts.items():
        run = Run(out / name, Budget(steps=1, minutes=1.0))
        run.save({"average": network}, preset=preset.name, context=networks.context)


def refuse_training(run: Path) -> None:
    """UsageError if the run folder holds more than restored weights."""
    checkpoint = run / "checkpoint.pt"
    if checkpoint.exists() and "network" in torch.load(checkpoint, weights_only=True):
        raise UsageError(f"{run} holds a training: name another place for what is restored")


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit code is that of the error."""
    args = parser().parse_args(argv)
    try:
        networks, preset = restore(Bundle.open(args.bundle))
        write(networks, preset, args.out)
    except PerpetuoError as error:
        print(f"restore: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"restore: {error.filename}: {error.strerror}", file=sys.stderr)
        return UsageError.exit_code
    print(f"{args.out}/autoencoder, {args.out}/velocity: preset {preset.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
