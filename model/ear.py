"""What the listening networks hear of a recording: the mean of its channels, at a part of its rate.

Where notes, chords and attacks are lies below 12 kHz and in the middle; a network that hears just
that stays small, and so do its latents. The decoder makes the width and the top octave anew.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CROSSINGS, BETA, CUTOFF = 90, 12.0, 0.957
"""Of the low-pass filter: crossings of its sinc a side, its Kaiser window, the middle of its slope.

Flat to 0.91 of the band and 120 dB down at its end, as resamplers of good quality are: encoders
that learnt from resampled songs hear a slope that lies elsewhere as another sound.
"""


class Ear(nn.Module):
    """Mixes down to mono, and to one in `part` samples."""

    taps: Tensor

    def __init__(self, part: int) -> None:
        super().__init__()
        self.part = part
        reach = CROSSINGS * part
        at = torch.arange(-reach, reach + 1, dtype=torch.float64)
        window = torch.kaiser_window(2 * reach + 1, False, BETA, dtype=torch.float64)
        taps = torch.sinc(CUTOFF * at / part) * window
        self.register_buffer("taps", (taps / taps.sum()).float(), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """audio [B, C, samples], a multiple of `part` -> [B, 1, samples / part], in step."""
        middle = audio.mean(1, keepdim=True)
        if self.part == 1:
            return middle
        reach = self.taps.shape[0] // 2
        padded = F.pad(middle, (reach, reach - self.part + 1))
        return F.conv1d(padded, self.taps.to(audio.dtype)[None, None], stride=self.part)
