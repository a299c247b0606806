"""Distil the velocity network: few passes a chunk, with guidance inside.

`python -m model.train_distilled --velocity RUN --data DIR --features STORE --mulan RUN --out RUN`

The student takes one step where the teacher takes two with guidance, four passes in all
(progressive distillation, arXiv 2202.00512, in this angle form; guidance inside, arXiv 2210.03142).
Both look back on the same context: the music, or in half of its chunks what the student would have
made of it. The student has the preset's heads of keys and values, whatever its teacher has.
Resumable. The run folder is one of a velocity network.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine import ranges
from engine.angles import schedule
from model.corpus.dataset import Songs
from model.material import Latents, Material, Windows, asking_options, load_material
from model.patterns import CLEAN_ANGLES, Pattern, cached_pattern, noised
from model.tokenise import Semantics
from model.train_autoencoder import load_autoencoder
from model.train_velocity import load_velocity, own_context
from model.training import Average, Budget, Run, clip_and_step, cores, run_options
from model.velocity import VelocityNetwork


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    p = argparse.ArgumentParser(prog="model.train_distilled", description=__doc__)
    p.add_argument("--velocity", type=Path, required=True, help="the teacher's run folder")
    p.add_argument("--autoencoder", type=Path, required=True, help="its run folder")
    p.add_argument("--data", type=Path, required=True, help="prepared folder (model.corpus)")
    p.add_argument("--latents", type=Path, help="latents.npz of the teacher's run; default: there")
    p.add_argument("--features", type=Path, required=True, help="store (model.tokenise)")
    p.add_argument("--mulan", type=Path, required=True, help="run folder of the joint embedding")
    asking_options(p)
    p.add_argument("--init", type=Path, help="run folder of an earlier student; default: teacher")
    p.add_argument("--passes", type=int, default=5, help="of the student, a chunk")
    p.add_argument("--guidance", type=float, default=3.0, help="that the student learns")
    p.add_argument("--own", type=ranges.part, default=0.5,
                   help="part of the lessons behind what the student made itself")  # fmt: skip
    run_options(p, minutes=45.0, batch=2, lr=3e-4, validate_every=50)
    return p


class Lesson:
    """One batch: what the student meets, and where the teacher's two steps lead from there."""

    def __init__(
        self, teacher: VelocityNetwork, windows: Windows, passes: int, guidance: float,
        own: VelocityNetwork | None = None,
    ) -> None:  # fmt: skip
        """`own` has made half of what both look back on, if there is one: see `own_context`."""
        assert windows.tokens is not None and windows.brief is not None
        batch, chunks = windows.latents.shape[:2]
        self.pattern = cached_pattern(chunks, 1, 0)
        self.clean_angle = torch.empty(batch, 1).uniform_(*CLEAN_ANGLES).expand(-1, chunks)
        self.conditions = windows.twice(teacher)
        context = own_context(own, windows.latents, self.conditions) if own else windows.latents
        self.clean, _ = noised(context, self.clean_angle)
        table = torch.from_numpy(schedule(passes).copy()).float()
        rung = torch.randint(0, passes, (batch, chunks))
        self.angle, low = table[rung], table[rung + 1]
        self.noisy, _ = noised(windows.latents, self.angle)
        told = self.conditions["tokens"][:, chunks:] != teacher.preset.vocabulary
        guided = told.any(-1)[..., None, None]
        with torch.no_grad():
            middle, z = (self.angle + low) / 2, self.noisy
            for high, next_angle in ((self.angle, middle), (middle, low)):
                v = self._guided(teacher, z, high, windows, torch.where(guided, guidance, 0.0))
                z = turned(z, v, high - next_angle)
            omega = (self.angle - low)[..., None, None]
            self.target = (torch.cos(omega) * self.noisy - z) / torch.sin(omega)

    def _guided(
        self, teacher: VelocityNetwork, z: Tensor, angle: Tensor, windows: Windows, scale: Tensor
    ) -> Tensor:
        """The teacher's velocity, without conditions and `scale` of the way to with them."""
        assert windows.tokens is not None and windows.brief is not None
        absent = torch.full_like(windows.tokens, teacher.preset.vocabulary)
        free = torch.zeros_like(windows.brief)
        with_, without = (
            velocity_of(teacher, self, z, angle, {
                "tokens": torch.cat([windows.tokens, tokens], 1),
                "brief": torch.cat([windows.brief, brief], 1),
            })
            for tokens, brief in ((windows.tokens, windows.brief), (absent, free))
        )  # fmt: skip
        return without + scale * (with_ - without)

    def loss(self, student: VelocityNetwork) -> Tensor:
        """Mean squared error of the student's velocity."""
        v = velocity_of(student, self, self.noisy, self.angle, self.conditions)
        return (v - self.target).square().mean()


def velocity_of(
    network: VelocityNetwork,
    lesson: Lesson,
    z: Tensor,
    angle: Tensor,
    conditions: dict[str, Tensor],
) -> Tensor:
    """Velocity [B, M, C, dim] of noisy chunks z at angles [B, M] behind the lesson's clean ones."""
    pattern: Pattern = lesson.pattern
    velocity = network.sequence_pass(
        torch.cat([lesson.clean, z], 1), torch.cat([lesson.clean_angle, angle], 1),
        pattern.sources, pattern.index, pattern.tails, **conditions,
    )  # fmt: skip
    return velocity[:, z.shape[1] :].float()


def turned(z: Tensor, v: Tensor, omega: Tensor) -> Tensor:
    """The DDIM step cos(ω)·z − sin(ω)·v, omega [B, M]."""
    omega = omega[..., None, None]
    return torch.cos(omega) * z - torch.sin(omega) * v


@torch.no_grad()
def validate(student: VelocityNetwork, lessons: list[Lesson]) -> float:
    """The loss on held-out windows."""
    return sum(float(lesson.loss(student)) for lesson in lessons) / len(lessons)


def held_out_lessons(
    teacher: VelocityNetwork, data: Material, args: argparse.Namespace
) -> list[Lesson]:
    """The held-out lessons, always the same."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    chunks = teacher.preset.context_chunks
    windows = data.windows("valid", 8, chunks, np.random.default_rng(0)).split(4)
    lessons = [Lesson(teacher, window, args.passes, args.guidance) for window in windows]
    torch.set_rng_state(state)
    return lessons


def train(
    student: VelocityNetwork, teacher: VelocityNetwork, data: Material, run: Run,
    rng: np.random.Generator, args: argparse.Namespace, preset: str,
) -> None:  # fmt: skip
    """Run the budget down."""
    average = Average(student, 0.995)
    optimiser = torch.optim.AdamW(student.parameters(), args.lr, betas=(0.9, 0.98),
                                  weight_decay=0.01)  # fmt: skip
    parts = {"network": student, "average": average.network, "optimiser": optimiser}
    run.load(parts)
    average.updates = run.step
    held_out = held_out_lessons(teacher, data, args)
    facts = {"preset": preset, "context": "cached", "conditions": list(student.preset.conditions),
             "passes": args.passes, "guidance": args.guidance}  # fmt: skip
    if not run.step:
        run.log(train_loss=math.nan, valid_loss=validate(student, held_out))
    smooth, chunks = math.nan, student.preset.context_chunks
    for bar in run.steps([optimiser]):
        windows = data.windows("train", args.batch, chunks, rng)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16"):
            own = student if rng.random() < args.own else None
            loss = Lesson(teacher, windows, args.passes, args.guidance, own).loss(student)
        loss.backward()  # type: ignore[no-untyped-call]
        clip_and_step(optimiser, student, 1.0)
        average.update(student)
        smooth = loss.item() if math.isnan(smooth) else smooth + 0.05 * (loss.item() - smooth)
        if run.step % args.validate_every == args.validate_every - 1:
            valid = validate(average.network, held_out)
            run.log(train_loss=smooth, valid_loss=valid)
            bar.set_postfix_str(f"loss {smooth:.4f}, held-out {valid:.4f}")
        if run.due():
            run.save(parts, **facts)
    run.log(train_loss=smooth, valid_loss=validate(average.network, held_out))
    run.save(parts, **facts)
    run.plot(["train_loss", "valid_loss"])


def main(argv: list[str] | None = None) -> int:
    """Teach."""
    args = parser().parse_args(argv)
    autoencoder, _ = load_autoencoder(args.autoencoder)
    teacher, preset, context = load_velocity(args.velocity)
    if context != "cached" or not teacher.preset.conditions:
        raise SystemExit("only a velocity network of cached context, with tokens, is distilled")
    begun = load_velocity(args.init or args.velocity)[0]
    student = begun.pooled(preset.velocity.kv_heads).train()
    cache = args.latents or args.velocity / "latents.npz"
    run = Run(args.out, Budget(args.steps, args.minutes, warmup=20))
    with cores(args.threads, args.seed) as rng:
        store = Semantics(args.features)
        latents = Latents(Songs(args.data), autoencoder, cache)
        data = load_material(latents, teacher.preset, args, store)
        train(student, teacher, data, run, rng, args, preset.name)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
