"""Train the velocity network.

`python -m model.train_velocity --data DIR --autoencoder RUN --out RUN`

The corpus is encoded once, by the autoencoder's means; training draws windows without endings.
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

from model.autoencoder import LiveAutoencoder
from model.corpus.dataset import Songs
from model.patterns import (
    CLEAN_ANGLES,
    cached_pattern,
    noised,
    noisy_angles,
    window_angles,
)
from model.presets import PRESETS, Preset
from model.sampling import continued
from model.train_autoencoder import load_autoencoder
from model.training import Average, Budget, Run, clip_and_step, cores, tensor
from model.velocity import VelocityNetwork

OWN_ANGLES = (0.4, 1.3)
"""Noise from which the network's own estimates of the context are made, in radians."""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    p = argparse.ArgumentParser(prog="model.train_velocity", description=__doc__)
    p.add_argument("--data", type=Path, required=True, help="prepared folder (model.corpus)")
    p.add_argument("--autoencoder", type=Path, required=True, help="its run folder")
    p.add_argument("--out", type=Path, required=True, help="run folder, resumed if it exists")
    p.add_argument("--init", type=Path, help="run folder whose weights to start from")
    p.add_argument("--context", choices=["cached", "window"], default="cached")
    p.add_argument("--steps", type=int, default=100_000)
    p.add_argument("--minutes", type=float, default=60.0)
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--chunks", type=int, help="chunks of a training sequence; default: context")
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--own", type=float, default=0.3, help="last part with its own context, 0…1")
    p.add_argument("--validate-every", type=int, default=100)
    p.add_argument("--listen-minutes", type=float, default=15.0, help="audible samples every …")
    p.add_argument("--precision", choices=["bf16", "fp32"], default="bf16",
                   help="of the matrix products; weights stay fp32")  # fmt: skip
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=1)
    return p


class Latents:
    """The corpus as unit variance latents, with random windows that stay within one song."""

    def __init__(self, songs: Songs, autoencoder: LiveAutoencoder, cache: Path) -> None:
        if not cache.exists():
            np.savez(cache, allow_pickle=False, **encode_corpus(songs, autoencoder))
        with np.load(cache) as stored:
            every = {name: torch.from_numpy(stored[name].astype(np.float32)) for name in stored}
        strange = [song.name for song in songs.songs if song.name not in every]
        if strange:
            raise SystemExit(f"{cache} holds other songs, not {strange[0]}: name another --out")
        self.songs = {split: [every[s.name] for s in songs.split(split)] for split in
                      ("train", "valid")}  # fmt: skip

    def windows(self, split: str, count: int, frames: int, rng: np.random.Generator) -> Tensor:
        """[count, frames, dim], songs drawn by their length."""
        songs = [song for song in self.songs[split] if len(song) >= frames]
        if not songs:
            raise SystemExit(f"no {split} song lasts {frames} latent frames: use longer recordings")
        weights = np.array([len(song) - frames + 1 for song in songs], dtype=np.float64)
        picks = rng.choice(len(songs), count, p=weights / weights.sum())
        starts = [int(rng.integers(0, len(songs[i]) - frames + 1)) for i in picks]
        return torch.stack([songs[i][s : s + frames] for i, s in zip(picks, starts, strict=True)])


@torch.no_grad()
def encode_corpus(songs: Songs, autoencoder: LiveAutoencoder) -> dict[str, np.ndarray]:
    """Every song as float16 [frames, dim]."""
    from tqdm import tqdm

    frame = autoencoder.preset.frame_samples
    encoded = {}
    for song in tqdm([*songs.split("train"), *songs.split("valid")], desc="encoding"):
        audio = songs.window(song, 0, song.samples // frame * frame)
        latents = autoencoder.normalised(tensor(audio[None]))[0]
        encoded[song.name] = latents.numpy().astype(np.float16)
    return encoded


def cached_loss(
    network: VelocityNetwork, latents: Tensor, rng: np.random.Generator, own: bool
) -> Tensor:
    """Mean squared error of the velocity of every noisy chunk; latents [B, M, C, dim]."""
    batch, chunks = latents.shape[:2]
    depth = int(rng.choice([1, 1, 1, 2, 4]))
    pattern = cached_pattern(chunks, depth, int(rng.integers(0, depth)))
    context = own_context(network, latents) if own else latents
    clean_angle = torch.empty(batch, 1).uniform_(*CLEAN_ANGLES).expand(-1, chunks)
    clean, _ = noised(context, clean_angle)
    angle = noisy_angles(batch, pattern)
    noisy, target = noised(latents, angle)
    velocity = network.sequence_pass(
        torch.cat([clean, noisy], 1), torch.cat([clean_angle, angle], 1),
        pattern.sources, pattern.index, pattern.tails,
    )  # fmt: skip
    return (velocity[:, chunks:].float() - target).square().mean()


@torch.no_grad()
def own_context(network: VelocityNetwork, latents: Tensor) -> Tensor:
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
        pattern.sources, pattern.index, pattern.tails,
    )[:, chunks:]  # fmt: skip
    cos, sin = torch.cos(angle)[..., None, None], torch.sin(angle)[..., None, None]
    estimate = cos * noisy - sin * velocity
    return torch.where(torch.rand(batch, chunks, 1, 1) < 0.5, estimate, latents)


def window_loss(network: VelocityNetwork, latents: Tensor) -> Tensor:
    """Mean squared error of the velocity over the whole window; latents [B, M, C, dim]."""
    angle = window_angles(*latents.shape[:2])
    noisy, target = noised(latents, angle)
    per_frame = angle.repeat_interleave(latents.shape[2], 1)
    velocity = network.window_pass(noisy.flatten(1, 2), per_frame)
    return (velocity.float() - target.flatten(1, 2)).square().mean()


@torch.no_grad()
def validate(network: VelocityNetwork, latents: Tensor, context: str) -> float:
    """The same loss on held-out windows, always with the same noise and patterns."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    total = 0.0
    for batch in latents.split(4):
        loss = (cached_loss(network, batch, rng, own=False) if context == "cached"
                else window_loss(network, batch))  # fmt: skip
        total += float(loss) / (len(latents) / len(batch))
    torch.set_rng_state(state)
    return total


@torch.no_grad()
def listen(network: VelocityNetwork, autoencoder: LiveAutoencoder, data: Latents, run: Run) -> None:
    """Write three continuations of held-out songs: 4 s of the song, then 10 s that go on."""
    p, vae = network.preset, autoencoder.preset
    rng = np.random.default_rng(3)
    seconds = p.chunk_frames / vae.latent_rate_hz
    context = data.windows("valid", 3, round(4 / seconds) * p.chunk_frames, rng)
    after = continued(network, context, round(10 / seconds), 8)
    latents = torch.cat([context, after], 1)
    audio = autoencoder.decode(latents * autoencoder.std + autoencoder.mean)
    for i, clip in enumerate(audio):
        run.write_audio(f"{run.step:06d}-{i}", clip.numpy().T, vae.sample_rate_hz)


def train(
    network: VelocityNetwork, autoencoder: LiveAutoencoder, data: Latents, run: Run,
    rng: np.random.Generator, args: argparse.Namespace, preset: str,
) -> None:  # fmt: skip
    """Run the budget down."""
    p = network.preset
    chunks = args.chunks or p.context_chunks
    frames = chunks * p.chunk_frames
    average = Average(network, 0.999)
    optimiser = torch.optim.AdamW(network.parameters(), args.lr, betas=(0.9, 0.98),
                                  weight_decay=0.01)  # fmt: skip
    parts = {"network": network, "average": average.network, "optimiser": optimiser}
    run.load(parts)
    average.updates = run.step
    held_out = data.windows("valid", 16, frames, np.random.default_rng(0))
    held_out = held_out.reshape(-1, chunks, p.chunk_frames, p.dim)
    heard, smooth = run.seconds, 1.0
    facts = {"preset": preset, "context": args.context}
    for bar in run.steps([optimiser]):
        latents = data.windows("train", args.batch, frames, rng)
        latents = latents.reshape(args.batch, chunks, p.chunk_frames, p.dim)
        own = run.budget.progress(run.step, run.seconds) > 1 - args.own and rng.random() < 0.5
        with torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16"):
            loss = (cached_loss(network, latents, rng, own) if args.context == "cached"
                    else window_loss(network, latents))  # fmt: skip
        loss.backward()  # type: ignore[no-untyped-call]
        clip_and_step(optimiser, network, 1.0)
        average.update(network)
        smooth += 0.02 * (loss.item() - smooth)
        if run.step % args.validate_every == args.validate_every - 1:
            valid = validate(average.network, held_out, args.context)
            run.log(train_loss=smooth, valid_loss=valid)
            bar.set_postfix_str(f"loss {smooth:.4f}, held-out {valid:.4f}")
        if args.context == "cached" and run.seconds - heard > 60 * args.listen_minutes:
            heard = run.seconds
            listen(average.network, autoencoder, data, run)
        if run.due():
            run.save(parts, **facts)
    run.log(train_loss=smooth, valid_loss=validate(average.network, held_out, args.context))
    run.save(parts, **facts)
    run.plot(["train_loss", "valid_loss"])
    if args.context == "cached":
        listen(average.network, autoencoder, data, run)


def load_velocity(folder: Path) -> tuple[VelocityNetwork, Preset, str]:
    """The averaged velocity network of a run folder, its preset and its context."""
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    preset = PRESETS[state["preset"]]
    network = VelocityNetwork(preset.velocity)
    network.load_state_dict(state["average"])
    return network.eval(), preset, state["context"]


def main(argv: list[str] | None = None) -> int:
    """Encode the corpus and train."""
    args = parser().parse_args(argv)
    autoencoder, preset = load_autoencoder(args.autoencoder)
    run = Run(args.out, Budget(args.steps, args.minutes, warmup=200))
    data = Latents(Songs(args.data), autoencoder, args.out / "latents.npz")
    with cores(args.threads, args.seed) as rng:
        network = VelocityNetwork(replace(preset.velocity, dim=preset.autoencoder.dim))
        if args.init:
            network.load_state_dict(load_velocity(args.init)[0].state_dict())
        train(network, autoencoder, data, run, rng, args, preset.name)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
