"""Train the live autoencoder: `python -m model.train_autoencoder --data DIR --out RUN`.

First reconstruction and KL; then, with the encoder and its latents frozen, the adversarial stage
(`--adversarial-minutes`), which sharpens the decoder without moving what the diffusion learnt.
Resumable: run the same command again.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model import losses
from model.autoencoder import LiveAutoencoder
from model.corpus.dataset import Songs
from model.discriminators import Discriminators, both
from model.presets import PRESETS, AutoencoderPreset, Preset
from model.training import Average, Budget, Run, clip_and_step, cores, tensor

STFTS = (losses.Stft(2048, 2048, 512), losses.Stft(1024, 1024, 256), losses.Stft(256, 256, 64))


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    p = argparse.ArgumentParser(prog="model.train_autoencoder", description=__doc__)
    p.add_argument("--data", type=Path, required=True, help="prepared folder (model.corpus)")
    p.add_argument("--out", type=Path, required=True, help="run folder, resumed if it exists")
    p.add_argument("--preset", choices=[n for n in PRESETS if n != "paper"], default="live")
    p.add_argument("--init", type=Path, help="run folder whose weights to start from")
    p.add_argument("--keep-latents", action="store_true",
                   help="train the decoder of --init only; its latents stay")  # fmt: skip
    p.add_argument("--steps", type=int, default=20_000)
    p.add_argument("--minutes", type=float, default=60.0)
    p.add_argument("--adversarial-minutes", type=float, default=0.0)
    p.add_argument("--batch", type=int, default=12)
    p.add_argument("--seconds", type=float, default=1.0, help="length of a training window")
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--kl", type=float, default=8e-3)
    p.add_argument("--pitch", type=float, default=1.0, help="weight of the quarter-tone loss")
    p.add_argument("--discriminator-width", type=int, default=8)
    p.add_argument("--validate-every", type=int, default=400)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=1)
    return p


class Windows:
    """Random training windows and fixed held-out ones, of whole latent frames."""

    def __init__(self, songs: Songs, samples: int, generator: np.random.Generator) -> None:
        self.songs, self.samples, self.generator = songs, samples, generator

    def batch(self, count: int) -> Tensor:
        """[count, C, samples] at a random gain of 0…−12 dB and a random sign."""
        audio = self.songs.sample(self.generator, "train", self.samples, count)
        gain = 10 ** (-self.generator.uniform(0, 12, (count, 1, 1)) / 20)
        sign = self.generator.choice([-1.0, 1.0], (count, 1, 1))
        return tensor((audio * gain * sign).astype(np.float32))

    def held_out(self, count: int, samples: int) -> Tensor:
        """[count, C, samples]: the same windows at every call, spread over the held-out songs."""
        audio = self.songs.sample(np.random.default_rng(0), "valid", samples, count)
        return tensor(audio)


def reconstruct(network: LiveAutoencoder, audio: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """audio -> copy by way of sampled latents, mean, log variance; the clock starts anywhere."""
    with matrix_products_in_bf16():
        mean, log_variance = (x.float() for x in network.encode(audio))
    latents = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
    return decode_anywhere(network, latents), mean, log_variance


def decode_anywhere(network: LiveAutoencoder, latents: Tensor) -> Tensor:
    """Decode latents [B, frames, dim] from the initial state but at a random time of the clock.

    The inverse transform stays in fp32: bf16 would put noise 50 dB under every peak.
    """
    decoder = network.decoder
    clock = torch.randint(0, decoder.clock.period, (1,))
    states = decoder.initial_states(latents.shape[0])
    with matrix_products_in_bf16():
        features, _ = decoder.features(latents, states)
    frames, _ = decoder.windows(features.float(), clock)
    return decoder.overlap_add(frames, states["overlap"])[0]


def matrix_products_in_bf16() -> torch.autocast:
    """Twice as fast where the processor knows bf16; only training runs under it."""
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.is_grad_enabled())


@torch.no_grad()
def set_statistics(network: LiveAutoencoder, windows: Windows) -> None:
    """Mean and deviation of every latent channel over the corpus (trap 8), kept in the model."""
    batches = [network.encode(windows.batch(16))[0].flatten(0, 1) for _ in range(24)]
    latents = torch.cat(batches)
    network.mean.copy_(latents.mean(0))
    network.std.copy_(latents.std(0).clamp(min=1e-3))


@torch.no_grad()
def validate(network: LiveAutoencoder, windows: Windows, run: Run, rate_hz: int) -> float:
    """Mel error (dB) on held-out windows of 4 s, by way of the mean; writes audible samples."""
    frames = 4 * network.preset.latent_rate_hz
    audio = windows.held_out(12, frames * network.preset.frame_samples)
    mean, log_variance = network.encode(audio)
    copy = decode_anywhere(network, mean)
    error = float(losses.mel_db_error(copy, audio, rate_hz))
    active = int((mean.flatten(0, 1).var(0) > 0.1).sum())
    run.log(mel_error_db=error, kl=float(losses.kl_loss(mean, log_variance)), active=active)
    pairs: NDArray[np.float32] = torch.cat([audio[:3], copy[:3]], dim=-1).numpy()
    for i, pair in enumerate(pairs):
        run.write_audio(f"{run.step:06d}-{i}", pair.T, rate_hz)
    return error


def train(network: LiveAutoencoder, windows: Windows, run: Run, args: argparse.Namespace) -> None:
    """The first stage: spectra and KL."""
    rate_hz = network.preset.sample_rate_hz
    network.encoder.requires_grad_(not args.keep_latents)
    average = Average(network, 0.998)
    learning = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learning, args.lr, betas=(0.8, 0.99))
    parts = {"network": network, "average": average.network, "optimiser": optimiser}
    if run.load(parts) and run.finished:
        return  # the statistics are part of the latents by now and must not move
    average.updates = run.step
    for bar in run.steps([optimiser]):
        audio = windows.batch(args.batch)
        copy, mean, log_variance = reconstruct(network, audio)
        spectral = losses.live_spectral_loss(copy, audio, rate_hz, STFTS)
        spectral = spectral + args.pitch * losses.pitch_loss(copy, audio, rate_hz)
        loss = spectral + args.kl * losses.kl_loss(mean, log_variance)
        loss.backward()  # type: ignore[no-untyped-call]
        clip_and_step(optimiser, network, 1.0)
        average.update(network)
        if run.step % args.validate_every == args.validate_every - 1:
            error = validate(average.network, windows, run, rate_hz)
            bar.set_postfix_str(f"loss {loss.item():.3f}, held-out mel error {error:.2f} dB")
        if run.due():
            run.save(parts, preset=args.preset)
    if not args.keep_latents:
        set_statistics(average.network, windows)
    validate(average.network, windows, run, rate_hz)
    run.save(parts, preset=args.preset)
    run.plot(["mel_error_db", "kl"])


def train_adversarial(
    network: LiveAutoencoder, windows: Windows, run: Run, args: argparse.Namespace
) -> None:
    """The second stage: the decoder against the discriminators, on fixed latents."""
    rate_hz, weights = network.preset.sample_rate_hz, losses.Weights()
    network.encoder.requires_grad_(False)
    judges = Discriminators(args.discriminator_width)
    average = Average(network, 0.998)
    mine = torch.optim.AdamW(network.decoder.parameters(), args.lr / 4, betas=(0.8, 0.99))
    theirs = torch.optim.AdamW(judges.parameters(), args.lr / 4, betas=(0.8, 0.99))
    parts = {"network": network, "average": average.network, "judges": judges, "mine": mine,
             "theirs": theirs}  # fmt: skip
    run.load(parts)
    average.updates = run.step
    for bar in run.steps([mine, theirs]):
        audio = windows.batch(max(2, args.batch // 3))
        with torch.no_grad():
            mean, log_variance = network.encode(audio)
            latents = mean + 0.5 * torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        copy = decode_anywhere(network, latents)
        real, fake = both(judges, audio, copy.detach())
        losses.discriminator_loss(real, fake).backward()  # type: ignore[no-untyped-call]
        clip_and_step(theirs, judges, 5.0)
        judges.requires_grad_(False)
        real, fake = both(judges, audio, copy)
        loss = (
            weights.spectral / 5 * losses.live_spectral_loss(copy, audio, rate_hz, STFTS)
            + weights.features / 5 * losses.feature_loss(real, fake)
            + weights.adversarial * losses.generator_loss(fake)
        )
        loss.backward()  # type: ignore[no-untyped-call]
        judges.requires_grad_(True)
        clip_and_step(mine, network.decoder, 5.0)
        average.update(network)
        if run.step % args.validate_every == args.validate_every - 1:
            error = validate(average.network, windows, run, rate_hz)
            bar.set_postfix_str(f"loss {loss.item():.3f}, held-out mel error {error:.2f} dB")
        if run.due():
            run.save(parts, preset=args.preset)
    validate(average.network, windows, run, rate_hz)
    run.save(parts, preset=args.preset)
    run.plot(["mel_error_db"])


def load_autoencoder(folder: Path) -> tuple[LiveAutoencoder, Preset]:
    """The averaged autoencoder of a run folder, after its adversarial stage if it has one."""
    second = folder / "adversarial" / "checkpoint.pt"
    state = torch.load(second if second.exists() else folder / "checkpoint.pt", weights_only=True)
    preset = PRESETS[state["preset"]]
    network = LiveAutoencoder(preset.autoencoder)
    network.load_state_dict(state["average"])
    return network.eval(), preset


def window_samples(preset: AutoencoderPreset, seconds: float) -> int:
    """Samples of a training window: whole latent frames, at least `seconds`."""
    frames = math.ceil(seconds * preset.sample_rate_hz / preset.frame_samples)
    return frames * preset.frame_samples


def main(argv: list[str] | None = None) -> int:
    """Run both stages."""
    args = parser().parse_args(argv)
    if args.keep_latents and not args.init:
        raise SystemExit("--keep-latents keeps those of --init RUN: name one")
    preset = PRESETS[args.preset].autoencoder
    samples = window_samples(preset, args.seconds)
    network = LiveAutoencoder(preset)
    if args.init:
        network.load_state_dict(load_autoencoder(args.init)[0].state_dict())
    with cores(args.threads, args.seed) as generator:
        windows = Windows(Songs(args.data), samples, generator)
        train(network, windows, Run(args.out, Budget(args.steps, args.minutes)), args)
        if args.adversarial_minutes:
            network, _ = load_autoencoder(args.out)
            run = Run(args.out / "adversarial", Budget(10**9, args.adversarial_minutes))
            train_adversarial(network.train(), windows, run, args)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
