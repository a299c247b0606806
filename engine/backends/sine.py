"""The stand-in's three networks in numpy: a sine that remembers what was played.

They compute something small, but everything the real contract promises is in them: a decoder
with state (the phase of the sine, a grain that overlaps into the next frame), a velocity network
whose answer depends on noise, angle, position, every finished chunk in the ring, the chunks in
flight before it, and the last frames of the chunk before. A mistake in any of these is heard.

Latent 0 is the pitch (220 Hz ± 1 octave), latent 1 the level; the others only take part in the
context. Where something is asked, semantic tokens pull the pitch and the brief the level.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from engine.manifest import Manifest
from engine.session import Array

BLOCKS = 2
TAIL_FRAMES = 2
PLACE_PERIOD = 64
"""Chunks after which the positions of the stand-in repeat."""

Outputs = dict[str, Array]
Feeds = Mapping[str, Array]
Doubles = npt.NDArray[np.float64]


class Sine:
    """Encoder, decoder and velocity network for the shapes of one manifest."""

    def __init__(self, manifest: Manifest) -> None:
        self.rate_hz = manifest.audio.sample_rate_hz
        self.channels = manifest.audio.channels
        self.frame = manifest.latent.frame_samples
        self.dim = manifest.latent.dim
        self.chunks = manifest.context.chunks
        self.vocabulary = manifest.prompting.vocabulary if manifest.prompting else 0
        self.n = np.arange(self.frame)
        self.hann = 0.5 - 0.5 * np.cos(np.pi * (np.arange(2 * self.frame) + 0.5) / self.frame)

    def encoder(self, feeds: Feeds) -> Outputs:
        """audio [1, channels, samples] -> latents [1, frames, dim]: pitch, level, bands."""
        frames = feeds["audio"][0].mean(axis=0).reshape(-1, self.frame).astype(np.float64)
        power = np.abs(np.fft.rfft(frames * np.hanning(self.frame), axis=1)) ** 2
        peak = power[:, 1:].argmax(axis=1) + 1
        octave = np.log2(peak * self.rate_hz / self.frame / 220.0)
        level = (np.sqrt(2.0 * (frames**2).mean(axis=1)) - 0.15) / 0.1
        bands = np.array_split(power, self.dim, axis=1)[2:]
        colour = [np.tanh(np.log10(band.mean(axis=1) + 1e-6) / 3.0) for band in bands]
        named = [np.arctanh(np.clip(x, -0.95, 0.95)) for x in (octave, level)]
        latents = np.stack(named + colour, axis=1)
        return {"latents": latents[None].astype(np.float32)}

    def decoder(self, feeds: Feeds) -> Outputs:
        """latents [1, frames, dim], phase, level [1, 1], overlap [1, 1, frame] -> audio, next."""
        z = feeds["latents"][0].astype(np.float64)
        cycles = 220.0 / self.rate_hz * 2.0 ** np.tanh(z[:, 0])
        level = 0.15 + 0.1 * np.tanh(z[:, 1])
        ends = float(feeds["phase"][0, 0]) + np.cumsum(cycles * self.frame)
        starts = ends - cycles * self.frame
        before = np.concatenate([feeds["level"][0], level])[:-1]
        slope = before[:, None] + (level - before)[:, None] * ((self.n + 1) / self.frame)
        tone = slope * np.sin(2 * np.pi * (starts[:, None] + cycles[:, None] * self.n))
        time = np.arange(2 * self.frame)
        grain = 0.3 * level[:, None] * np.sin(4 * np.pi * cycles[:, None] * time) * self.hann
        late = np.concatenate([feeds["overlap"][0], grain[:, self.frame :]])
        mono = (tone + grain[:, : self.frame] + late[:-1]).reshape(-1)
        gains = 1.0 - 0.2 * np.arange(self.channels)
        return {
            "audio": (gains[:, None] * mono)[None].astype(np.float32),
            "phase_next": np.array([[ends[-1] % 1.0]], np.float32),
            "level_next": level[None, -1:].astype(np.float32),
            "overlap_next": late[None, -1:].astype(np.float32),
        }

    def cached_velocity(self, feeds: Feeds) -> Outputs:
        """The chunks in flight look back on the ring and on each other; a batch row by row."""
        rows = [self._row(feeds, row) for row in range(feeds["latents"].shape[0])]
        return {name: np.stack([row[name] for row in rows]).astype(np.float32) for name in rows[0]}

    def descend(self, feeds: Feeds) -> Outputs:
        """Pass by pass, `angles` [batch, passes + 1, chunks]; all that is left, in the first."""
        z, angles = feeds["latents"], feeds["angles"]
        found: list[Outputs] = []
        for angle, target in pairwise(np.moveaxis(angles, 1, 0)):
            found.append(self.cached_velocity({**feeds, "latents": z, "angle": angle}))
            omega = (angle - target)[..., None, None]
            z = np.cos(omega) * z - np.sin(omega) * found[-1]["velocity"]
        left = {name: x for name, x in found[0].items() if name != "velocity"}
        return {"descended": z.astype(np.float32), **left}

    def _row(self, feeds: Feeds, row: int) -> Outputs:
        z, angle = feeds["latents"][row].astype(np.float64), feeds["angle"][row].astype(np.float64)
        place = place_of(feeds["position"][row])
        own = np.stack([key(z, angle, block) for block in range(BLOCKS)])
        tails = np.concatenate([feeds["tail"][row], z[:, -TAIL_FRAMES:]])
        places = np.concatenate([feeds["places"][row], place])
        keys = np.concatenate([feeds["keys"][row], own], axis=1)
        sees = np.concatenate([feeds["filled"][row], feeds["sees"][row]], axis=1) > 0.5
        wanted = asked_of(feeds, row, z.shape, self.vocabulary)
        velocity = np.empty_like(z)
        for i, before in enumerate(feeds["before"][row]):
            seen = sees[i].copy()
            seen[self.chunks + i] = False  # itself it knows
            context = look_back(place[i], places[seen], keys[:, seen])
            tail = tails[before] if seen[before] else np.zeros_like(tails[before])
            velocity[i] = velocity_of(z[i], angle[i], context, tail, wanted[i])
        left = {"keys_next": own, "places_next": place, "tail_next": z[:, -TAIL_FRAMES:]}
        return {"velocity": velocity, **left}

    def window_velocity(self, feeds: Feeds) -> Outputs:
        """Every frame looks both ways, most at clean frames nearby."""
        z, angle = feeds["latents"][0].astype(np.float64), feeds["angle"][0].astype(np.float64)
        frame = np.arange(z.shape[0])
        weight = np.exp(-np.abs(frame[:, None] - frame) / 16.0) * np.cos(angle)
        weight /= weight.sum(axis=1, keepdims=True) + 1e-6
        clean = np.tanh(0.9 * z + 0.8 * (weight @ z))
        velocity = (np.cos(angle)[:, None] * z - clean) / np.maximum(np.sin(angle), 0.05)[:, None]
        return {"velocity": velocity[None].astype(np.float32)}


def place_of(position: npt.NDArray[np.int64]) -> Doubles:
    """Where a chunk stands on the circle of positions: float64[n, 2]."""
    turn = 2 * np.pi * (position % PLACE_PERIOD) / PLACE_PERIOD
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


def key(z: Doubles, angle: Doubles, block: int) -> Doubles:
    """What later chunks see of chunks [n, frames, dim] at angles [n]: float64[n, dim]."""
    mean = np.cos(angle)[:, None] * z.mean(axis=1)
    return np.asarray(np.tanh((block + 1) * (mean + 0.3 * z[:, -1])))


def look_back(place: Doubles, places: Doubles, keys: Doubles) -> Doubles:
    """Mean of keys [blocks, n, dim], nearest positions first: float64[dim]; 0 for none."""
    if not places.shape[0]:
        return np.zeros(keys.shape[2])
    weight = np.exp(8.0 * (places @ place))
    blended = keys[0] + 0.5 * np.roll(keys[1], 1, axis=-1)
    return np.asarray((weight / weight.sum()) @ blended)


def asked_of(feeds: Feeds, row: int, shape: tuple[int, ...], vocabulary: int) -> Doubles:
    """What tokens and brief add to chunks of this shape: pitch and level; 0 for nothing asked."""
    wanted = np.zeros(shape)
    if "tokens" in feeds:
        tokens = feeds["tokens"][row]
        pitch = np.where(tokens < vocabulary, (2 * tokens + 1) / max(vocabulary, 1) - 1, 0.0)
        wanted[..., 0] = 0.6 * np.repeat(pitch, shape[1] // tokens.shape[1], axis=1)
        brief = feeds["brief"][row].astype(np.float64)
        ways = np.cos(np.arange(brief.shape[1]) ** 2)
        wanted[..., 1] = 0.3 * np.tanh(brief @ ways)[:, None]
    return wanted


def velocity_of(
    z: Doubles, angle: float, context: Doubles, tail: Doubles, wanted: Doubles | float = 0.0
) -> Doubles:
    """v = (cos(δ)·z_δ − z0) / sin(δ) of one chunk [frames, dim], for the z0 it believes in."""
    fade = 0.5 ** np.arange(1, z.shape[0] + 1)[:, None]
    clean = np.tanh(0.9 * z + 0.8 * context + fade * tail.mean(axis=0) + wanted)
    return np.asarray((np.cos(angle) * z - clean) / max(np.sin(angle), 0.05))
