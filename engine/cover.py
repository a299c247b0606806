"""Cover audio: the present music kept going when there is none to be had.

The last seconds played are remembered. The music is continued by a loop: the earlier place that
sounds most like the present moment (normalised correlation over the last 0.2 s) is where it goes
on, so the phase of what sounds is kept. The loop's own seam is crossfaded, and so is the way back
to newly made music. What little jump is left at the way in is spread over a few milliseconds.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.session import Floats

MEMORY_S = 6.0
MATCH_S = 0.2
SHORTEST_LOOP_S = 1.0
SEAM_S = 0.03
COARSE_HZ = 6000


class Cover:
    """Remembers what was played (`remember`) and continues it (`next`)."""

    def __init__(self, sample_rate_hz: int, channels: int) -> None:
        self._match = round(MATCH_S * sample_rate_hz)
        self._shortest = round(SHORTEST_LOOP_S * sample_rate_hz)
        self._seam = round(SEAM_S * sample_rate_hz)
        self._coarse = max(1, sample_rate_hz // COARSE_HZ)
        self._memory = np.zeros((round(MEMORY_S * sample_rate_hz), channels), np.float32)
        self._known = 0  # samples of memory that hold audio, at its end
        self._loop: Floats | None = None
        self._prepared: Floats | None = None
        self._at = 0
        self._owed = self._memory[:0]  # of the jump at the way in, what is still to be spread
        turn = np.linspace(0.0, np.pi / 2, self._seam, endpoint=False)
        self._rise = np.sin(turn).astype(np.float32)[:, None]
        self._fall = np.cos(turn).astype(np.float32)[:, None]

    @property
    def empty(self) -> bool:
        """True while nothing was ever played."""
        return self._known == 0

    def remember(self, audio: Floats) -> None:
        """Audio that was played, float32[samples, channels]."""
        size = self._memory.shape[0]
        audio = audio[-size:]
        count = audio.shape[0]
        self._memory[: size - count] = self._memory[count:]
        self._memory[size - count :] = audio
        self._prepared = None
        self._known = min(size, self._known + count)

    def prepare(self) -> None:
        """Look for the loop now, so that `next` need not; void once more audio was played."""
        if self._loop is None:
            self._found_loop()

    def next(self, samples: int) -> Floats:
        """The music that was last played, going on: float32[samples, channels]; remembered.

        Silence only if nothing was ever played.
        """
        if self._loop is None:
            self._loop, self._at = self._found_loop(), 0
            if self._known:
                self._owed = self._jump(self._loop) * self._fall**2
        audio = self._from_loop(self._loop, samples)
        self.remember(audio)
        return audio

    def rejoin(self, audio: Floats) -> Floats:
        """Newly made audio after cover audio, crossfaded into it; also ends the covering."""
        if self._loop is None:
            return audio
        count = min(self._seam, audio.shape[0])
        tail = self._from_loop(self._loop, count)
        joined = audio.copy()
        joined[:count] = tail * self._fall[:count] + audio[:count] * self._rise[:count]
        self._loop, self._owed = None, self._memory[:0]
        return joined

    def _from_loop(self, loop: Floats, samples: int) -> Floats:
        places = (self._at + np.arange(samples)) % loop.shape[0]
        self._at = (self._at + samples) % loop.shape[0]
        taken: Floats = loop[places]
        count = min(samples, self._owed.shape[0])
        taken[:count] += self._owed[:count]
        self._owed = self._owed[count:]
        return taken

    def _found_loop(self) -> Floats:
        if self._prepared is None:
            self._prepared = self._make_loop()
        return self._prepared

    def _make_loop(self) -> Floats:
        """A loop whose start continues the memory's end; its end runs into its start."""
        known = self._memory[self._memory.shape[0] - self._known :]
        if not self._known:
            return np.zeros((1, self._memory.shape[1]), np.float32)
        if self._known < self._shortest + self._match:  # too short to choose: there and back
            return np.concatenate([known[::-1], known])
        mono = known.mean(axis=1)
        start = self._known - best_lag(mono, self._match, self._shortest, self._coarse)
        loop = known[start:].copy()
        seam = min(self._seam, start)
        rise = np.linspace(0.0, 1.0, seam, dtype=np.float32)[:, None]
        end = loop[loop.shape[0] - seam :]
        end += (known[start - seam : start] - end) * rise
        return loop

    def _jump(self, loop: Floats) -> Floats:
        """From the loop's own step to where the memory ended, float32[channels]."""
        jump: Floats = self._memory[-1] - loop[-1]
        return jump


def best_lag(mono: npt.NDArray[np.float32], match: int, shortest: int, coarse: int = 1) -> int:
    """How many samples back from the end `mono` sounds most like its end.

    The last `match` samples are compared with every earlier place at least `shortest` samples
    back, by normalised correlation; there are at least `match` + `shortest` samples. The search
    goes over means of `coarse` samples, then sample by sample around the best of them.
    """
    small = mono[mono.shape[0] % coarse :].reshape(-1, coarse).mean(axis=1)
    rough = coarse * _search(small, match // coarse, -(-shortest // coarse))
    near = range(max(rough - coarse, shortest), min(rough + coarse, mono.shape[0] - match) + 1)
    return max(near, key=lambda lag: _likeness(mono, match, lag), default=rough)


def _search(mono: npt.NDArray[np.float32], match: int, shortest: int) -> int:
    """The same for every lag at once, by FFT."""
    total = mono.shape[0]
    size = 1 << (total + match - 1).bit_length()
    spectrum = np.fft.rfft(mono, size) * np.conj(np.fft.rfft(mono[-match:], size))
    dots = np.fft.irfft(spectrum, size)[: max(1, total - match - shortest + 1)]
    energy = np.concatenate([[0.0], np.cumsum(mono.astype(np.float64) ** 2)])
    norms = np.sqrt(np.maximum(energy[match:] - energy[:-match], 1e-9))[: dots.shape[0]]
    return int(total - match - int(np.argmax(dots / norms)))


def _likeness(mono: npt.NDArray[np.float32], match: int, lag: int) -> float:
    earlier = mono[mono.shape[0] - match - lag : mono.shape[0] - lag]
    return float(mono[-match:] @ earlier) / (float(np.linalg.norm(earlier)) + 1e-6)
