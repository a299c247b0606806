"""The command: what it loads, and what it says when it cannot."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_export import WORDS, networks, prompted

from engine.spec import LadderSpec
from export import __main__ as command
from model.autoencoder_paper import PAPER_TINY, PaperAutoencoder


def save_runs(folder: Path) -> list[str]:
    pair = networks()
    for name, network in (("autoencoder", pair.autoencoder), ("velocity", pair.velocity)):
        (folder / name).mkdir()
        state = {"preset": "tiny", "context": "window", "average": network.state_dict()}
        torch.save(state, folder / name / "checkpoint.pt")
    (folder / "velocity" / "log.jsonl").write_text('{"loss": 0.4}\n')
    return ["--autoencoder", f"{folder}/autoencoder", "--velocity", f"{folder}/velocity",
            "--out", f"{folder}/bundle"]  # fmt: skip


def test_it_packs_the_networks_of_two_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(command, "pack", lambda *args, **named: calls.append((*args, named)))
    (tmp_path / "note.md").write_text("It hums.")
    arguments = [*save_runs(tmp_path), "--steps", "8", "--note", f"{tmp_path}/note.md"]
    assert command.main([*arguments, "--cpu-only", "--name", "hum"]) == 0
    pair, out, label, named = calls[0]
    assert pair.context == "window"
    assert out == tmp_path / "bundle"
    assert (label.name, label.note, label.ladder) == (
        "hum",
        "It hums.",
        LadderSpec(8, 1, (5, 3, 2)),
    )
    assert (named["accelerator"], named["int8"]) == (False, False)
    assert command.main([*arguments, "--compute", "int8"]) == 0
    assert calls[1][3]["int8"] is True
    assert named["measured"] == {"training.velocity.loss": 0.4}
    wanted = networks().velocity.state_dict()
    assert all(torch.equal(x, wanted[k]) for k, x in pair.velocity.state_dict().items())


def test_the_published_autoencoder_cannot_stream(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = save_runs(tmp_path)
    state = {"preset": "tiny-paper", "average": PaperAutoencoder(PAPER_TINY).state_dict()}
    torch.save(state, tmp_path / "autoencoder" / "checkpoint.pt")
    assert command.main(arguments) == 2
    assert "is of preset tiny-paper, whose decoder looks both ways" in capsys.readouterr().err


def save_prompting_runs(folder: Path) -> list[str]:
    arguments, nets = save_runs(folder), prompted()
    assert nets.prompting is not None
    parts = {"velocity": nets.velocity, **nets.prompting.parts}
    facts: dict[str, dict[str, Any]] = {
        "velocity": {"context": "cached", "conditions": ["tokens", "brief"]},
        "mulan": {"sizes": asdict(nets.prompting.mulan.sizes), "words": list(WORDS)},
    }
    for name, network in parts.items():
        (folder / name).mkdir(exist_ok=True)
        state = {"preset": "tiny", "average": network.state_dict(), **facts.get(name, {})}
        torch.save(state, folder / name / "checkpoint.pt")
    for name in nets.prompting.parts:
        arguments += [f"--{name}", f"{folder}/{name}"]
    return arguments


def test_with_three_more_runs_it_packs_what_takes_prompts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(command, "pack", lambda *args, **named: calls.append((*args, named)))
    arguments = save_prompting_runs(tmp_path)
    (tmp_path / "language" / "log.jsonl").write_text('{"loss": 3.5}\n')
    pulls = ["--pull", "0.7", "--push", "2", "--fade", "4", "--key-pull", "0.5", "--beat-pull", "3"]
    assert command.main([*arguments, "--guidance", "2", *pulls]) == 0
    nets, _, label, named = calls[0]
    assert nets.prompting.words == WORDS
    assert nets.velocity.preset.conditions == ("tokens", "brief")
    assert label.guidance == 2.0
    assert (label.pull, label.push, label.fade_s) == (0.7, 2.0, 4.0)
    assert (label.key_pull, label.beat_pull) == (0.5, 3.0)
    assert named["measured"] == {"training.velocity.loss": 0.4, "training.language.loss": 3.5}


def test_half_of_what_prompts_need_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = save_prompting_runs(tmp_path)
    assert command.main(arguments[:-2]) == 2
    said = capsys.readouterr().err
    assert "prompts need all of --semantic, --language, --mulan, got --semantic, --language" in said
    assert command.main(arguments[:-6]) == 2
    assert (
        "is asked by prompts: name --semantic, --language, --mulan too" in capsys.readouterr().err
    )


def test_a_joint_space_in_training_and_a_wild_guidance_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = save_prompting_runs(tmp_path)
    state = torch.load(tmp_path / "mulan" / "checkpoint.pt", weights_only=True)
    state["average"]["quantiser.entries"].zero_()
    torch.save(state, tmp_path / "mulan" / "checkpoint.pt")
    assert command.main(arguments) == 2
    assert "training has not ended" in capsys.readouterr().err
    assert command.main([*arguments, "--guidance", "7"]) == 2
    assert "guidance is 7, it takes 1 … 5" in capsys.readouterr().err


def test_a_run_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = save_runs(tmp_path)
    arguments[1] = str(tmp_path)
    assert command.main(arguments) == 2
    assert f"{tmp_path} holds no checkpoint.pt" in capsys.readouterr().err


def test_a_checkpoint_of_other_networks_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = save_runs(tmp_path)
    state = {"preset": "live", "average": networks().autoencoder.state_dict()}
    torch.save(state, tmp_path / "autoencoder" / "checkpoint.pt")
    assert command.main(arguments) == 2
    assert "do not fit the networks of this version" in capsys.readouterr().err


def test_a_note_that_is_missing_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([*save_runs(tmp_path), "--note", f"{tmp_path}/none.md"]) == 2
    assert "none.md" in capsys.readouterr().err


@pytest.mark.parametrize(("steps", "fewer"), [(10, (6, 4, 2)), (4, (2, 1)), (2, (1,)), (1, ())])
def test_fewer_steps_to_fall_back_on(steps: int, fewer: tuple[int, ...]) -> None:
    assert command.fallback_steps(steps) == fewer
