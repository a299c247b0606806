"""Train the velocity network.

`python -m model.train_velocity --data DIR --autoencoder RUN --out RUN`

The corpus is encoded once, by the autoencoder's means; training draws windows without endings.
With `--features` and `--mulan` the network hears semantic tokens and briefs as well; now and then
a window is two songs, one after the other, which is what a change of prompt sounds like.
The last part of the budget trains on the network's own estimates as context, so that it learns
to go on from what it made itself. Resumable: run the same command again.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine import ranges
from model.corpus.dataset import Songs
from model.excerpts import Autoencoder
from model.layers import kv_heads_of
from model.material import Latents, Material, Windows, asking_options, load_material
from model.patterns import (
    CLEAN_ANGLES,
    cached_pattern,
    noised,
    noisy_angles,
    window_angles,
)
from model.presets import PRESETS, Preset
from model.sampling import continued
from model.tokenise import Semantics
from model.train_autoencoder import load_autoencoder
from model.training import Average, Budget, Run, clip_and_step, cores, run_options
from model.velocity import VelocityNetwork

OWN_ANGLES = (0.4, 1.3)
"""Noise from which the network's own estimates of the context are made, in radians."""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    p = argparse.ArgumentParser(prog="model.train_velocity", description=__doc__)
    p.add_argument("--data", type=Path, required=True, help="prepared folder (model.corpus)")
    p.add_argument("--autoencoder", type=Path, required=True, help="its run folder")
    p.add_argument("--init", type=Path, help="run folder whose weights to start from")
    p.add_argument("--features", type=Path, help="store (model.tokenise): train with tokens")
    p.add_argument("--mulan", type=Path, help="run folder of the joint embedding: with briefs")
    asking_options(p)
    p.add_argument("--context", choices=["cached", "window"], default="cached")
    p.add_argument("--chunks", type=int, help="chunks of a training sequence; default: context")
    p.add_argument(
        "--own", type=ranges.part, default=0.3, help="last part with its own context, 0…1"
    )
    p.add_argument("--listen-minutes", type=float, default=15.0, help="audible samples every …")
    run_options(p, minutes=60.0, batch=4, lr=1e-3, validate_every=100)
    return p


def cached_loss(
    network: VelocityNetwork, windows: Windows, rng: np.random.Generator, own: bool
) -> Tensor:
    """Mean squared error of the velocity of every noisy chunk."""
    latents = windows.latents
    batch, chunks = latents.shape[:2]
    depth = int(rng.choice([1, 1, 1, 2, 4]))
    pattern = cached_pattern(chunks, depth, int(rng.integers(0, depth)))
    conditions = windows.twice(network)
    context = own_context(network, latents, conditions) if own else latents
    clean_angle = torch.empty(batch, 1).uniform_(*CLEAN_ANGLES).expand(-1, chunks)
    clean, _ = noised(context, clean_angle)
    angle = noisy_angles(batch, pattern)
    noisy, target = noised(latents, angle)
    velocity = network.sequence_pass(
        torch.cat([clean, noisy], 1), torch.cat([clean_angle, angle], 1),
        pattern.sources, pattern.index, pattern.tails, **conditions,
    )  # fmt: skip
    return (velocity[:, chunks:].float() - target).square().mean()


@torch.no_grad()
def own_context(network: VelocityNetwork, latents: Tensor, conditions: dict[str, Tensor]) -> Tensor:
    """About half of the chunks replaced by the network's own one-pass estimate of them.

    z0 = cos δ·z_δ − sin δ·v̂, from the true chunks before and a noisy version of itself; what
    comes next is then still true, and the network learns to go on from its own blur (compare
    Self Forcing, arXiv 2506.08009).
    """
    batch, chunks = latents.shape[:2]
    pattern = cached_pattern(chunks, 1, 0)
    angle = torch.empty(batch, chunks).uniform_(*OWN_ANGLES)
    noisy, _ = noised(latents, angle)
    clean_angle = torch.full((batch, chunks), network.context_angle)
    velocity = network.sequence_pass(
        torch.cat([latents, noisy], 1), torch.cat([clean_angle, angle], 1),
        pattern.sources, pattern.index, pattern.tails, **conditions,
    )[:, chunks:]  # fmt: skip
    cos, sin = torch.cos(angle)[..., None, None], torch.sin(angle)[..., None, None]
    estimate = cos * noisy - sin * velocity
    return torch.where(torch.rand(batch, chunks, 1, 1) < 0.5, estimate, latents)


def window_loss(network: VelocityNetwork, windows: Windows) -> Tensor:
    """Mean squared error of the velocity over the whole window."""
    latents = windows.latents
    angle = window_angles(*latents.shape[:2])
    noisy, target = noised(latents, angle)
    per_frame = angle.repeat_interleave(latents.shape[2], 1)
    tokens = None if windows.tokens is None else windows.tokens.flatten(1, 2)
    brief = None if windows.brief is None else windows.brief[:, -1]
    velocity = network.window_pass(noisy.flatten(1, 2), per_frame, tokens, brief)
    return (velocity.float() - target.flatten(1, 2)).square().mean()


@torch.no_grad()
def validate(network: VelocityNetwork, windows: Windows, context: str) -> float:
    """The same loss on held-out windows, always with the same noise and patterns."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    total = 0.0
    for batch in windows.split(4):
        loss = (cached_loss(network, batch, rng, own=False) if context == "cached"
                else window_loss(network, batch))  # fmt: skip
        total += float(loss) * len(batch.latents) / len(windows.latents)
    torch.set_rng_state(state)
    return total


@torch.no_grad()
def listen(
    network: VelocityNetwork, autoencoder: Autoencoder, data: Material, run: Run, kind: str
) -> None:
    """Write three continuations of held-out songs: 4 s of the song, then 10 s that go on.

    With tokens, they are the song's own, as far as the song goes. `kind` is the network's context.
    """
    p, vae = network.preset, autoencoder.preset
    seconds = p.chunk_frames / vae.latent_rate_hz
    before, behind = round(4 / seconds), round(10 / seconds)
    if data.store is not None:
        behind = max(1, min(behind, data.longest("valid") - before))
    known = before if data.store is None else before + behind
    windows = data.windows("valid", 3, known, np.random.default_rng(3))
    context = windows.latents[:, :before].flatten(1, 2)
    tokens = None if windows.tokens is None else windows.tokens.flatten(1, 2)
    after = continued(network, context, behind, 8, tokens, windows.brief, kind)
    latents = torch.cat([context, after], 1)
    audio = autoencoder.sound(latents)
    for i, clip in enumerate(audio):
        run.write_audio(f"{run.step:06d}-{i}", clip.numpy().T, vae.sample_rate_hz)


def train(
    network: VelocityNetwork, autoencoder: Autoencoder, data: Material, run: Run,
    rng: np.random.Generator, args: argparse.Namespace, preset: str,
) -> None:  # fmt: skip
    """Run the budget down."""
    chunks = args.chunks or network.preset.context_chunks
    average = Average(network, 0.999)
    optimiser = torch.optim.AdamW(network.parameters(), args.lr, betas=(0.9, 0.98),
                                  weight_decay=0.01)  # fmt: skip
    parts = {"network": network, "average": average.network, "optimiser": optimiser}
    run.load(parts)
    average.updates = run.step
    held_out = data.windows("valid", 16, chunks, np.random.default_rng(0))
    heard, smooth = run.seconds, 1.0
    conditions = list(network.preset.conditions)
    facts = {"preset": preset, "context": args.context, "conditions": conditions}
    for bar in run.steps([optimiser]):
        windows = data.windows("train", args.batch, chunks, rng)
        own = run.budget.progress(run.step, run.seconds) > 1 - args.own and rng.random() < 0.5
        with torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16"):
            loss = (cached_loss(network, windows, rng, own) if args.context == "cached"
                    else window_loss(network, windows))  # fmt: skip
        loss.backward()  # type: ignore[no-untyped-call]
        clip_and_step(optimiser, network, 1.0)
        average.update(network)
        smooth += 0.02 * (loss.item() - smooth)
        if run.step % args.validate_every == args.validate_every - 1:
            valid = validate(average.network, held_out, args.context)
            run.log(train_loss=smooth, valid_loss=valid)
            bar.set_postfix_str(f"loss {smooth:.4f}, held-out {valid:.4f}")
        if run.seconds - heard > 60 * args.listen_minutes:
            heard = run.seconds
            listen(average.network, autoencoder, data, run, args.context)
        if run.due():
            run.save(parts, **facts)
    run.log(train_loss=smooth, valid_loss=validate(average.network, held_out, args.context))
    run.save(parts, **facts)
    run.plot(["train_loss", "valid_loss"])
    listen(average.network, autoencoder, data, run, args.context)


def load_velocity(folder: Path) -> tuple[VelocityNetwork, Preset, str]:
    """The averaged velocity network of a run folder, its preset and its context."""
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    preset = PRESETS[state["preset"]]
    sizes = preset.prompted if "brief" in state.get("conditions", []) else preset.velocity
    projection = state["average"]["blocks.0.across.attend.project.weight"]
    network = VelocityNetwork(replace(sizes, kv_heads=kv_heads_of(projection, sizes.heads)))
    network.load_state_dict(state["average"])
    return network.eval(), preset, state["context"]


def start_from(network: VelocityNetwork, folder: Path) -> None:
    """The weights of another run; conditions that it was not trained with start anew."""
    own = network.state_dict()
    found = load_velocity(folder)[0].pooled(network.preset.kv_heads).state_dict()
    network.load_state_dict(own | {name: value for name, value in found.items() if name in own})


def main(argv: list[str] | None = None) -> int:
    """Encode the corpus and train."""
    args = parser().parse_args(argv)
    if (args.features is None) != (args.mulan is None):
        raise SystemExit("--features and --mulan belong together")
    autoencoder, preset = load_autoencoder(args.autoencoder)
    run = Run(args.out, Budget(args.steps, args.minutes, warmup=200))
    latents = Latents(Songs(args.data), autoencoder, args.out / "latents.npz")
    with cores(args.threads, args.seed) as rng:
        store = Semantics(args.features) if args.features else None
        sizes = preset.prompted if store else preset.velocity
        network = VelocityNetwork(replace(sizes, dim=preset.autoencoder.dim))
        if args.init:
            start_from(network, args.init)
        data = load_material(latents, network.preset, args, store)
        train(network, autoencoder, data, run, rng, args, preset.name)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
