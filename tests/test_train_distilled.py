"""What the student is taught is where the teacher's own steps lead."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.angles import schedule
from model import train_distilled
from model.material import Windows
from model.presets import TINY
from model.train_distilled import Lesson, turned, velocity_of
from model.velocity import VelocityNetwork

P = TINY.prompted


def network() -> VelocityNetwork:
    torch.manual_seed(0)
    made = VelocityNetwork(P).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return made


def windows(batch: int = 2, chunks: int = 3) -> Windows:
    count = P.chunk_frames // P.token_frames
    return Windows(
        torch.randn(batch, chunks, P.chunk_frames, P.dim),
        torch.randint(0, P.vocabulary, (batch, chunks, count)),
        torch.rand(batch, chunks, P.brief),
    )


def test_one_step_along_the_target_is_two_of_the_teacher() -> None:
    teacher, asked = network(), windows()
    lesson = Lesson(teacher, asked, passes=4, guidance=1.0)
    table = torch.from_numpy(schedule(4).copy()).float()
    rung = (lesson.angle[..., None] - table).abs().argmin(-1)
    low = table[rung + 1]
    z = lesson.noisy
    with torch.no_grad():
        for high, next_angle in (
            (lesson.angle, (lesson.angle + low) / 2), ((lesson.angle + low) / 2, low)
        ):  # fmt: skip
            told = lesson.conditions
            z = turned(z, velocity_of(teacher, lesson, z, high, told), high - next_angle)
    there = turned(lesson.noisy, lesson.target, lesson.angle - low)
    assert torch.allclose(there, z, atol=1e-4)


def test_guidance_changes_only_what_has_conditions() -> None:
    teacher, asked = network(), windows(16)
    lessons = []
    for guidance in (1.0, 3.0):
        torch.manual_seed(5)
        lessons.append(Lesson(teacher, asked, passes=2, guidance=guidance))
    plain, guided = lessons
    chunks = asked.latents.shape[1]
    told = plain.conditions["tokens"][:, chunks:] != P.vocabulary
    without = ~told.any(-1)
    assert 0 < int(without.sum()) < without.numel()
    same = (plain.target - guided.target).abs().amax((2, 3)) < 1e-5
    assert torch.equal(same, without)


def test_half_of_what_is_looked_back_on_may_be_the_student_s_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(train_distilled, "CLEAN_ANGLES", (0.0, 0.0))
    teacher, student, asked = network(), VelocityNetwork(P).eval(), windows(32)
    true = Lesson(teacher, asked, passes=2, guidance=1.0)
    assert torch.allclose(true.clean, asked.latents)
    made = Lesson(teacher, asked, passes=2, guidance=1.0, own=student)
    kept = torch.isclose(made.clean, asked.latents).all(-1).all(-1)
    assert 0.3 < float(kept.float().mean()) < 0.7
    assert not made.clean.requires_grad


@torch.no_grad()
def test_a_student_that_is_its_teacher_errs_less_with_smaller_steps() -> None:
    teacher, asked = network(), windows(8)
    torch.manual_seed(3)
    few = Lesson(teacher, asked, passes=1, guidance=1.0).loss(teacher)
    torch.manual_seed(3)
    many = Lesson(teacher, asked, passes=20, guidance=1.0).loss(teacher)
    assert np.isfinite(float(few)) and float(many) < 0.2 * float(few)
