"""The partials of a sound as levels of tones on a grid: what a decoder's oscillators should play.

Peaks of a long spectrum, each with the pitch of the parabola through its logarithms (Smith and
Serra, PARSHL, 1987), told to the nearest tone. A spectral loss alone does not find them: a bank of
oscillators stays idle beside bins that sound nearly right at once (bench/LOG.md, 2026-11-22).
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from model.losses import Stft, magnitudes

LONG, SHORT = Stft(4096, 4096, 240), Stft(2048, 2048, 240)
"""The first finds partials; the lesser of both is their level, as the first is early at attacks."""
RANGE = 3e-3
"""A partial is no quieter than this share of the loudest bin of its spectrum: 50 dB."""
RISE, AROUND_BINS = 1.1, 31
"""By so many nats it stands out of the mean of so many bins; of noise's bins 1 in 150 does."""
FLOOR = -9.0
"""Log level below which a tone is silent: 78 dB under a full-scale sine."""
WEIGHT = 2.0
"""Of a tone that sounds, in the loss: one that is played with a chance of 1/3 is played."""


def partial_levels(
    audio: Tensor, rate_hz: int, grid_hz: Tensor, hop: int, centre: int = 0
) -> Tensor:
    """audio [B, samples] -> natural log levels [B, samples/hop, tones], FLOOR where none sounds.

    grid_hz [tones], two or more: evenly spaced in pitch. Spectrum i is heard around sample
    i·hop + centre, where `centre` is whole hops; behind the end is silence. A full-scale sine has
    level 0.
    """
    spectra, skipped = audio.shape[-1] // hop, centre // hop
    audio = F.pad(audio, (0, centre))[:, None]
    stfts = [replace(stft.at(rate_hz), hop=hop) for stft in (LONG, SHORT)]
    long, short = (magnitudes(audio, s)[..., skipped : skipped + spectra] for s in stfts)
    bin_hz = rate_hz / stfts[0].fft
    top = min(math.ceil(1.02 * float(grid_hz[-1]) / bin_hz), long.shape[1] - 2)
    level, offset, peak = _peaks(torch.log(long), top)
    hz = (torch.arange(1, top + 1, device=audio.device)[:, None] + offset) * bin_hz
    place = (hz / bin_hz * SHORT.fft / LONG.fft).clamp(0, short.shape[1] - 1)
    nearest = place.round()
    late = short.gather(1, nearest.long()) / _hann(place - nearest)
    level = torch.minimum(level, torch.log(late))
    octaves = float(torch.log2(grid_hz[-1] / grid_hz[0])) / (len(grid_hz) - 1)
    tone = (torch.log2(hz.clamp(min=1.0) / float(grid_hz[0])) / octaves).round().long()
    peak &= (tone >= 0) & (tone < len(grid_hz))
    heard = torch.where(peak, level.clamp(min=FLOOR), torch.full_like(level, FLOOR))
    levels = heard.new_full((len(audio), len(grid_hz), spectra), FLOOR)
    levels.scatter_reduce_(1, tone.clamp(0, len(grid_hz) - 1), heard, "amax")
    return levels.transpose(1, 2)


def _peaks(spectra: Tensor, top: int) -> tuple[Tensor, Tensor, Tensor]:
    """Log spectra [B, bins, n] -> of bins 1…top: level and offset of the parabola; is it a partial?

    The offset is in bins, at most a half for a partial.
    """
    below, here, above = (spectra[:, i : i + top] for i in range(3))
    around = F.avg_pool1d(
        spectra.transpose(1, 2), AROUND_BINS, 1, AROUND_BINS // 2, count_include_pad=False
    ).transpose(1, 2)[:, 1 : top + 1]
    peak = (here > below) & (here >= above) & (here > RISE + around)
    peak &= here > math.log(RANGE) + spectra.amax(1, keepdim=True)
    offset = 0.5 * (below - above) / (below - 2 * here + above).clamp(max=-1e-6)
    return here - 0.25 * (below - above) * offset, offset.clamp(-0.5, 0.5), peak


def _hann(offset: Tensor) -> Tensor:
    """How much of a sine a Hann window's bin hears that is so many bins away, at most a half."""
    return torch.sinc(offset) / (1.0 - offset.square())


def tone_loss(levels: Tensor, partials: Tensor) -> Tensor:
    """L1 between the log levels of oscillators and what `partial_levels` says, both floored."""
    distance = (levels.clamp(min=FLOOR) - partials).abs()
    return torch.where(partials > FLOOR, WEIGHT * distance, distance).mean()
