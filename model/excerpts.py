"""What an autoencoder is trained on and measured with: excerpts of songs, and its statistics."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model import losses
from model.autoencoder import LiveAutoencoder
from model.autoencoder_paper import PaperAutoencoder
from model.corpus.dataset import Songs
from model.presets import Codec
from model.timbres import in_other_timbres, longest_excerpt, random_speed
from model.training import Run, tensor

Autoencoder = LiveAutoencoder | PaperAutoencoder
HELD_OUT = 12
HELD_OUT_S = 4
"""Excerpts that a validation hears, and seconds of each."""


class Excerpts:
    """Random excerpts of the training songs and fixed ones of the others, of whole frames."""

    def __init__(
        self, data: Path, codec: Codec, seconds: float, generator: np.random.Generator,
        device: str = "cpu", timbres: float = 0.0,
    ) -> None:  # fmt: skip
        """SystemExit with one line unless `data` fits the codec and is long enough.

        `timbres`: part of the training excerpts that have another one (`model.timbres`).
        """
        try:
            self.songs = Songs(data)
        except FileNotFoundError as error:
            raise SystemExit(str(error)) from None
        refuse_misfit(data, self.songs, codec)
        self.samples = whole_frames(codec, seconds)
        self.held_out_samples = whole_frames(codec, HELD_OUT_S)
        self.generator, self.device = generator, device
        self.timbres = timbres
        self._refuse_short()

    def batch(self, count: int) -> Tensor:
        """[count, C, samples] at a random gain of 0…−12 dB and a random sign."""
        audio = self._drawn(count)
        gain = 10 ** (-self.generator.uniform(0, 12, (count, 1, 1)) / 20)
        sign = self.generator.choice([-1.0, 1.0], (count, 1, 1))
        return tensor((audio * gain * sign).astype(np.float32)).to(self.device)

    def _drawn(self, count: int) -> npt.NDArray[np.float32]:
        """[count, samples, C], some in another timbre."""
        rng, songs = self.generator, self.songs
        others = int(rng.binomial(count, self.timbres))
        audio = songs.sample(rng, "train", self.samples, count - others)
        if others:
            long = songs.sample(rng, "train", round(self.samples * random_speed(rng)), others)
            changed = in_other_timbres(long, self.samples, songs.sample_rate_hz, rng)
            audio = np.concatenate([audio, changed])
        return audio

    def held_out(self) -> Tensor:
        """[12, C, 4 s]: the same at every call, spread over the held-out songs."""
        rng = np.random.default_rng(0)
        audio = self.songs.sample(rng, "valid", self.held_out_samples, HELD_OUT)
        return tensor(audio).to(self.device)

    def _refuse_short(self) -> None:
        try:
            longest = longest_excerpt(self.samples) if self.timbres else self.samples
            self.songs.sample(np.random.default_rng(0), "train", longest, 1)
            self.held_out()
        except ValueError as error:
            raise SystemExit(f"{error}, or longer songs") from None


def refuse_misfit(data: Path, songs: Songs, codec: Codec) -> None:
    """SystemExit unless the songs have the rate and the channels that the codec hears."""
    found, wanted = (songs.sample_rate_hz, songs.channels), (codec.sample_rate_hz, codec.channels)
    if found != wanted:
        raise SystemExit(
            f"{data} holds {found[0]} Hz × {found[1]}, the preset hears {wanted[0]} Hz × "
            f"{wanted[1]}: prepare it with --rate {wanted[0]} --channels {wanted[1]}"
        )


def whole_frames(codec: Codec, seconds: float) -> int:
    """Samples of an excerpt: whole latent frames, at least `seconds`."""
    return math.ceil(seconds * codec.sample_rate_hz / codec.frame_samples) * codec.frame_samples


def sampled(mean: Tensor, log_variance: Tensor, spread: float = 1.0) -> Tensor:
    """Latents drawn from the posterior, its deviation times `spread`."""
    return mean + spread * torch.exp(0.5 * log_variance) * torch.randn_like(mean)


@torch.no_grad()
def set_statistics(network: Autoencoder, excerpts: Excerpts) -> None:
    """Mean and deviation of every latent channel over the corpus (trap 8), kept in the model."""
    network.mean.zero_()
    network.std.fill_(1.0)
    batches = [network.normalised(excerpts.batch(16)).flatten(0, 1) for _ in range(24)]
    latents = torch.cat(batches)
    network.mean.copy_(latents.mean(0))
    network.std.copy_(latents.std(0).clamp(min=1e-3))


@torch.no_grad()
def validate(
    network: Autoencoder, decode: Callable[[Tensor], Tensor], excerpts: Excerpts, run: Run
) -> float:
    """Mel error (dB) on held-out excerpts by way of the mean; writes audible samples."""
    rate_hz, audio = network.preset.sample_rate_hz, excerpts.held_out()
    parts = [network.encode(clips) for clips in audio.split(HELD_OUT // 3)]
    mean, log_variance = (torch.cat(part) for part in zip(*parts, strict=True))
    copy = torch.cat([decode(latents) for latents in mean.split(HELD_OUT // 3)])
    error = float(losses.mel_db_error(copy, audio, rate_hz))
    figures: dict[str, float] = {"mel_error_db": error}
    figures["kl"] = float(losses.kl_loss(mean, log_variance))
    figures["active"] = int((mean.flatten(0, 1).var(0) > 0.1).sum())
    if isinstance(network, PaperAutoencoder):
        figures["clipped"] = float(network.clipped(mean))
    run.log(**figures)
    for i, pair in enumerate(torch.cat([audio[:3], copy[:3]], dim=-1).cpu().numpy()):
        run.write_audio(f"{run.step:06d}-{i}", pair.T, rate_hz)
    return error
