"""The judge's ear: a small network that hears the style and the instruments in four seconds.

It is trained by `bench.judge` for judging only. It shares no weights, features or training with
what makes the music, and measures by its own spectra.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr
import torch
from torch import Tensor, nn

from bench.spectra import mel_filters, mono
from engine.brief import FAMILIES
from engine.errors import UsageError
from model.corpus.labels import STYLE_NAMES

RATE_HZ = 24_000
WINDOW_S = 4.0
WINDOW_SAMPLES = round(WINDOW_S * RATE_HZ)
BANDS, FFT_SAMPLES, HOP_SAMPLES = 80, 2048, 480
FLOOR = 1e-5  # re the mean power of the window
SILENCE = 1e-10
WIDTHS = (24, 48, 96, 128)
CHECKPOINT = "judge.pt"


def log_mel(audio: Tensor) -> Tensor:
    """audio [B, samples] at 24 kHz -> log10 of the mel power [B, samples / 480, 80]."""
    window = torch.hann_window(FFT_SAMPLES)
    spectrum = torch.stft(
        audio, FFT_SAMPLES, HOP_SAMPLES, window=window, center=True, return_complex=True
    )
    power = torch.view_as_real(spectrum).square().sum(-1)[..., :-1].transpose(1, 2)
    mel = power @ torch.from_numpy(mel_filters(RATE_HZ, FFT_SAMPLES, BANDS)).float()
    return torch.log10(mel + SILENCE)


def relative(rows: Tensor) -> Tensor:
    """log_mel of a window [B, n, 80] -> what the ear takes, [B, 1, n, 80].

    It is re the mean power of the window: loudness tells nothing.
    """
    mel = 10.0**rows
    mean = mel.mean((1, 2), keepdim=True).clamp(min=1e-6)
    return (torch.log10(mel / mean + FLOOR) + 2.0)[:, None]


def levels(audio: Tensor) -> Tensor:
    """audio [B, samples] -> [B, 1, samples / 480, 80]."""
    return relative(log_mel(audio))


class Ear(nn.Module):
    """Levels to style and instruments: convolutions, each halving time and pitch.

    Time is pooled by mean and maximum at the end; pitch is kept, as it tells instruments apart.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.stages = nn.Sequential(
            *_convolution(1, widths[0], 5, 2),
            *chain.from_iterable(
                (*_convolution(*pair, 3), nn.MaxPool2d(2)) for pair in pairwise(widths)
            ),
            *_convolution(widths[-1], widths[-1], 3),
        )
        places = widths[-1] * (BANDS // 2 ** len(widths))
        self.narrow = nn.Sequential(nn.Linear(2 * places, 192), nn.ReLU(), nn.Dropout(0.3))
        self.style = nn.Linear(192, len(STYLE_NAMES))
        self.families = nn.Linear(192, len(FAMILIES))

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """seen [B, 1, frames, 80] -> logits of style [B, 9] and of instruments [B, 12]."""
        seen = seen.contiguous(memory_format=torch.channels_last)
        x = self.stages(seen).transpose(1, 2).flatten(2)
        y = self.narrow(torch.cat([x.mean(1), x.amax(1)], dim=1))
        return self.style(y), self.families(y)


def _convolution(few: int, many: int, size: int, stride: int = 1) -> list[nn.Module]:
    layer = nn.Conv2d(few, many, size, stride, size // 2, bias=False)
    return [layer, nn.BatchNorm2d(many), nn.ReLU()]


@dataclass(frozen=True)
class Verdict:
    """What was heard: probabilities of the styles (their sum is 1) and of each instrument."""

    styles: dict[str, float]
    families: dict[str, float]

    @property
    def style(self) -> str:
        """The likeliest."""
        return max(self.styles, key=lambda name: self.styles[name])

    def sounds(self, family: str) -> bool:
        """Whether an instrument is rather there than not."""
        return self.families[family] > 0.5


class Judge:
    """A trained ear, for any stretch of audio at any rate."""

    def __init__(self, ear: Ear) -> None:
        self._ear = ear.eval()

    @torch.no_grad()
    def hear(self, audio: npt.ArrayLike, rate_hz: int) -> Verdict:
        """Mean verdict over windows of 4 s, the last one flush with the end.

        ValueError for less than 4 s.
        """
        samples = mono(audio)
        if rate_hz != RATE_HZ:
            samples = np.asarray(soxr.resample(samples, rate_hz, RATE_HZ))
        if len(samples) < WINDOW_SAMPLES:
            seconds = len(samples) / RATE_HZ
            raise ValueError(f"{seconds:.2f} s to judge, at least {WINDOW_S:g} s are needed")
        last = len(samples) - WINDOW_SAMPLES
        starts = np.unique(np.linspace(0, last, 1 + -(-last // WINDOW_SAMPLES)).astype(int))
        windows = np.stack([samples[start : start + WINDOW_SAMPLES] for start in starts])
        style, families = self._ear(levels(torch.from_numpy(windows).float()))
        return Verdict(
            dict(zip(STYLE_NAMES, style.softmax(1).mean(0).tolist(), strict=True)),
            dict(zip(FAMILIES, families.sigmoid().mean(0).tolist(), strict=True)),
        )


def load_judge(folder: Path) -> Judge:
    """The judge of a run folder of `bench.judge`; UsageError where there is none."""
    path = folder / CHECKPOINT
    if not path.is_file():
        raise UsageError(f"no {CHECKPOINT} in {folder}: train it with python -m bench.judge")
    ear = Ear()
    ear.load_state_dict(torch.load(path, weights_only=True)["ear"])
    return Judge(ear)
