"""A finished chunk, and several passes of those in flight, in one run of the velocity network.

The first pass takes all of them: the finished chunk, which looks back on the rings, and those in
flight, which look back on it, too. What it leaves there stands beside the rings in the passes that
follow, which are those in flight alone. What does not change from pass to pass is computed once:
masks, turns, what the blocks hear of the tokens, the tails of finished chunks; what only the
angles change, for all passes in one product. Then z ← cos(ω)·z − sin(ω)·v̂, pass by pass (MeLoDy,
arXiv 2305.15719, section 4.2; ω is the difference of two angles).
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.layers import Past
from model.past_attention import Steps, steps, steps_scan
from model.velocity import States, VelocityNetwork


def descended(
    network: VelocityNetwork, latents: Tensor, angles: Tensor, position: Tensor, filled: Tensor,
    sees: Tensor, before: Tensor, states: States, tokens: Tensor | None = None,
    brief: Tensor | None = None, guide: Tensor | None = None, scan: bool = False,
) -> tuple[Tensor, States]:  # fmt: skip
    """Chunks, a finished one and those in flight, P ≥ 2 passes further: latents [B, n, C, dim].

    angles [B, P + 1, n] are what they stand at now and after each pass, the first chunk at the
    same all the time; no other is finished before the last pass. The rest is as for
    `VelocityNetwork.cached_pass`, and so is what all of them leave behind in the first pass. `scan`
    makes the other passes one ONNX Scan.
    """
    batch, groups, frames = latents.shape[:3]
    ring, hop = states["tail"].shape[1], network.half_frames
    seen = torch.cat([filled, sees], dim=2)
    has_tail = seen.gather(2, before[:, :, None])[:, :, 0]
    own = latents[:, :, frames - hop :]
    tails = torch.cat([states["tail"], own], dim=1)

    embedded = network.token_embeddings(tokens, batch, groups, frames)
    beside = network.beside(embedded, guide, frames)
    angles = angles.transpose(0, 1)
    now = angles[:-1]
    finished = torch.full_like(states["tail"][:, :, 0, 0], network.context_angle)
    stand = torch.cat([finished.expand(now.shape[0], -1, -1), now], dim=2)
    turned, condition = network.angles_entered(now, stand.gather(2, before.expand_as(now)))
    asked = network.conditioned(torch.zeros_like(condition[0]), embedded, brief)
    films = network.films(condition + asked)
    omega = (now - angles[1:])[..., None, None]
    cosine, sine = torch.cos(omega), torch.sin(omega)

    turning = network.turning(network.cached_positions(position), latents.dtype)
    mask, heard = network.cached_mask(seen), network.heard(embedded)
    pasts = network.pasts(states, mask)
    tail = tails.gather(1, before[:, :, None, None].expand(own.shape))
    x = network.chunk_segments(latents, turned[0], tail, has_tail, beside)
    first = [film[0] for film in films]
    velocity, owns = network.through(x, first, turning, mask, pasts, heard)
    z = cosine[0, :, 1:] * latents[:, 1:] - sine[0, :, 1:] * velocity[:, 1:]

    # From here on without the finished chunk: its tail, keys and values are all that is seen of it.
    count = turning[0].shape[-2] // groups  # its segments
    nears = [Past(own.keys[..., :count, :], own.values[..., :count, :]) for own in owns]
    pasts = [past if past.marks is None else past._replace(marks=past.marks[count:])
             for past in pasts]  # fmt: skip
    turning = turning[0][..., count:, :], turning[1][..., count:, :]
    mask = mask[..., count:, :]
    heard = [past and Past(past.keys[:, :, 1:], past.values[:, :, 1:]) for past in heard]
    beside = None if beside is None else beside[:, 1:]
    is_kept, flying = before[:, 1:] <= ring, (before[:, 1:] - ring - 1).clamp(min=0)
    place = (batch, groups - 1, hop, latents.shape[3])
    kept_tail = tails.gather(1, before[:, 1:].clamp(max=ring)[:, :, None, None].expand(place))

    def step(carried: Steps, given: Steps) -> tuple[Steps, Steps]:
        (z,), (turned_now, cosine, sine, *films_now) = carried, given
        own = z[:, :, frames - hop :].gather(1, flying[:, :, None, None].expand(place))
        tail = torch.where(is_kept[:, :, None, None], kept_tail, own)
        x = network.chunk_segments(z, turned_now, tail, has_tail[:, 1:], beside)
        velocity, _ = network.through(x, films_now, turning, mask, pasts, heard, nears)
        return [cosine * z - sine * velocity], [z[0, 0, 0, 0].clone()]

    given = [part[1:, :, 1:] for part in (turned, cosine, sine)]
    given += [film[1:, :, :, 1:] for film in films]
    run = steps_scan if scan else steps
    (z,), _ = run(step, [z], given)
    return torch.cat([latents[:, :1], z], dim=1), network.left(own, owns, groups)
