"""The training of the published VAE-GAN (MeLoDy, arXiv 2305.15719, appendix).

One stage: generator and discriminators from the first step, with the published losses and
weights. Rates and betas are HiFi-GAN's (arXiv 2010.05646); MeLoDy names none. It belongs on a GPU
(`--device cuda`); two cores make its small preset, `tiny-paper`, learn.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from model import losses
from model.autoencoder_paper import PaperAutoencoder
from model.discriminators import Discriminators, opinion, teach
from model.excerpts import Excerpts, sampled, set_statistics, validate
from model.training import Average, Run, clip_and_step

WEIGHTS = losses.Weights()
BETAS = (0.8, 0.99)
LIMIT = 100.0
"""Of the gradient's norm; only what is far out is cut, since the spectral loss weighs 50."""


def train_published(
    network: PaperAutoencoder, excerpts: Excerpts, run: Run, args: argparse.Namespace
) -> None:
    """Run the budget down."""
    network.encoder.requires_grad_(not args.keep_latents)
    judges = Discriminators(args.discriminator_width).to(args.device)
    average = Average(network, 0.999)
    learning = [p for p in network.parameters() if p.requires_grad]
    mine = torch.optim.AdamW(learning, args.lr, betas=BETAS)
    theirs = torch.optim.AdamW(judges.parameters(), args.lr, betas=BETAS)
    parts = {"network": network, "average": average.network, "judges": judges, "mine": mine,
             "theirs": theirs}  # fmt: skip
    if run.load(parts) and run.finished:
        return  # the statistics are part of the latents by now and must not move
    average.updates = run.step
    for bar in run.steps([mine, theirs]):
        audio = excerpts.batch(args.batch)
        mean, log_variance = network.encode(audio)
        copy = network.decode(sampled(mean, log_variance))
        teach(judges, theirs, audio, copy)
        loss = generator_loss(judges, audio, copy) + args.kl * losses.kl_loss(mean, log_variance)
        rate_hz = network.preset.sample_rate_hz
        loss = loss + losses.listening_loss(copy, audio, rate_hz, args.pitch, args.purity, args.mel)
        loss.backward()  # type: ignore[no-untyped-call]
        clip_and_step(mine, network, LIMIT)
        average.update(network)
        if run.step % args.validate_every == args.validate_every - 1:
            error = validate(average.network, average.network.decode, excerpts, run)
            bar.set_postfix_str(f"loss {loss.item():.2f}, held-out mel error {error:.2f} dB")
        if run.due():
            run.save(parts, preset=args.preset)
    if not args.keep_latents:
        set_statistics(average.network, excerpts)
    validate(average.network, average.network.decode, excerpts, run)
    run.save(parts, preset=args.preset)
    run.plot(["mel_error_db", "kl"])


def generator_loss(judges: Discriminators, audio: Tensor, copy: Tensor) -> Tensor:
    """50·MR-STFT + 20·feature matching + 1·LSGAN, as published; the KL is the caller's."""
    features, adversarial = opinion(judges, audio, copy)
    spectral = losses.spectral_loss(copy, audio)
    return (
        WEIGHTS.spectral * spectral + WEIGHTS.features * features
        + WEIGHTS.adversarial * adversarial
    )  # fmt: skip
