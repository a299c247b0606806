"""Several passes down the ladder in one run of the cached velocity network.

What does not change from pass to pass, because the same chunks stay in flight, is computed once:
masks, turns, what the blocks hear of the tokens, the tails that lie in the ring. What only the
angles change is computed for all passes in one product. Then z ← cos(ω)·z − sin(ω)·v̂, pass by pass
(MeLoDy, arXiv 2305.15719, section 4.2; ω is the difference of two angles).
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.past_attention import Steps, steps, steps_scan
from model.velocity import States, VelocityNetwork


def descended(
    network: VelocityNetwork, latents: Tensor, angles: Tensor, position: Tensor, filled: Tensor,
    sees: Tensor, before: Tensor, states: States, tokens: Tensor | None = None,
    brief: Tensor | None = None, guide: Tensor | None = None, scan: bool = False,
) -> Tensor:  # fmt: skip
    """Chunks in flight at the end of P passes, latents [B, n, C, dim].

    angles [B, P + 1, n] are what they stand at now and after each pass; none of them is finished
    before the last. The rest is as for `VelocityNetwork.cached_pass`. `scan` makes the passes one
    ONNX Scan.
    """
    batch, groups, frames = latents.shape[:3]
    ring, hop = states["tail"].shape[1], network.half_frames
    seen = torch.cat([filled, sees], dim=2)
    has_tail = seen.gather(2, before[:, :, None])[:, :, 0]
    kept, flying = before.clamp(max=ring - 1), (before - ring).clamp(min=0)
    is_kept = before < ring
    place = (batch, groups, hop, latents.shape[3])
    kept_tail = states["tail"].gather(1, kept[:, :, None, None].expand(place))

    embedded = network.token_embeddings(tokens, batch, groups, frames)
    beside = network.beside(embedded, guide, frames)
    angles = angles.transpose(0, 1)
    now = angles[:-1]
    tail_angle = torch.where(is_kept, network.context_angle, now.gather(2, flying.expand_as(now)))
    turned, condition = network.angles_entered(now, tail_angle)
    asked = network.conditioned(torch.zeros_like(condition[0]), embedded, brief)
    films = network.films(condition + asked)
    omega = (now - angles[1:])[..., None, None]

    turning = network.turning(network.cached_positions(position), latents.dtype)
    mask, heard = network.cached_mask(seen), network.heard(embedded)
    pasts = network.pasts(states)

    def step(carried: Steps, given: Steps) -> tuple[Steps, Steps]:
        (z,), (turned_now, cosine, sine, *films_now) = carried, given
        own = z[:, :, frames - hop :].gather(1, flying[:, :, None, None].expand(place))
        tail = torch.where(is_kept[:, :, None, None], kept_tail, own)
        x = network.chunk_segments(z, turned_now, tail, has_tail, beside)
        velocity, _ = network.through(x, films_now, turning, mask, pasts, heard)
        return [cosine * z - sine * velocity], [z[0, 0, 0, 0].clone()]

    given = [turned, torch.cos(omega), torch.sin(omega), *films]
    run = steps_scan if scan else steps
    (finished,), _ = run(step, [latents], given)
    return finished
