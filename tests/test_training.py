"""Training: budgets, averages, run folders that survive a kill, and both commands end to end."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from model import train_autoencoder, train_velocity
from model.autoencoder import LiveAutoencoder
from model.corpus.dataset import Songs, prepare
from model.material import Latents
from model.presets import TINY
from model.training import Average, Budget, Run, run_options


def test_budget_ends_by_steps_or_by_minutes() -> None:
    budget = Budget(steps=100, minutes=1.0, warmup=10)
    assert budget.progress(50, 0.0) == 0.5
    assert budget.progress(0, 30.0) == 0.5
    assert budget.rate(0, 0.0) == pytest.approx(0.1)
    assert budget.rate(99, 0.0) == pytest.approx(0.02)


def test_a_run_is_told_where_how_long_and_how_fast(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    run_options(parser, minutes=3.0, batch=2, lr=1e-3, validate_every=5)
    told = parser.parse_args(["--out", "here", "--steps", "7"])
    assert (told.out, told.steps, told.minutes) == (Path("here"), 7, 3.0)
    assert (told.batch, told.lr, told.validate_every, told.precision) == (2, 1e-3, 5, "bf16")
    with pytest.raises(SystemExit):
        parser.parse_args([])
    assert "--out" in capsys.readouterr().err


def test_average_follows_and_settles() -> None:
    network = torch.nn.Linear(2, 1)
    average = Average(network, 0.9)
    with torch.no_grad():
        network.weight.fill_(3.0)
    for _ in range(200):
        average.update(network)
    assert torch.allclose(average.network.weight, network.weight, atol=1e-4)


def test_a_run_resumes_where_it_was_saved(tmp_path: Path) -> None:
    network = torch.nn.Linear(2, 1)
    run = Run(tmp_path, Budget(10, 5.0))
    run.step, run.seconds = 4, 2.5
    run.save({"network": network}, preset="tiny")
    again, other = Run(tmp_path, Budget(10, 5.0)), torch.nn.Linear(2, 1)
    state = again.load({"network": other})
    assert state is not None and state["preset"] == "tiny"
    assert (again.step, again.seconds) == (4, 2.5)
    assert torch.equal(other.weight, network.weight)
    assert not list(tmp_path.glob("*.part"))


def test_weights_alone_are_no_run_to_resume(tmp_path: Path) -> None:
    network = torch.nn.Linear(2, 1)
    run = Run(tmp_path, Budget(10, 5.0))
    run.save({"average": network}, preset="tiny")
    with pytest.raises(SystemExit, match="name it as --init"):
        run.load({"network": network, "average": network})


def songs(folder: Path, seconds: float = 12.0, count: int = 4) -> Path:
    """A prepared folder of made-up songs: chords of decaying sines, 8 kHz."""
    rng = np.random.default_rng(0)
    t = np.arange(int(0.5 * 8000)) / 8000
    (folder / "songs").mkdir(parents=True)
    for number in range(count):
        notes = [220 * 2 ** (rng.integers(0, 12) / 12) for _ in range(int(seconds * 2))]
        audio = np.concatenate([np.sin(2 * np.pi * f * t) * np.exp(-3 * t) for f in notes])
        soundfile.write(folder / "songs" / f"{number}.wav", 0.4 * audio, 8000)
    prepare(folder / "songs", folder / "data", 8000, 1, 0.3)
    return folder / "data"


def steps_logged(run: Path) -> list[int]:
    """The steps at which a run wrote its figures."""
    return [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]


def test_both_commands_train_resume_and_leave_what_they_promise(tmp_path: Path) -> None:
    data, first, second = songs(tmp_path), tmp_path / "ae", tmp_path / "velocity"
    common = ["--data", str(data), "--threads", "1", "--validate-every", "3"]
    make = [*common, "--out", str(first), "--preset", "tiny", "--batch", "2"]
    train_autoencoder.main([*make, "--steps", "3"])
    train_autoencoder.main(
        [*make, "--steps", "6", "--adversarial-minutes", "0.02", "--discriminator-width", "2"]
    )
    assert max(steps_logged(first)) == 6
    assert (first / "curve.png").exists() and list((first / "samples").glob("*.flac"))
    assert (first / "adversarial" / "checkpoint.pt").exists()
    make = [*common, "--autoencoder", str(first), "--out", str(second), "--batch", "2"]
    train_velocity.main([*make, "--steps", "3"])
    train_velocity.main([*make, "--steps", "6", "--own", "1.0"])
    assert max(steps_logged(second)) == 6
    network, preset, context = train_velocity.load_velocity(second)
    assert (preset.name, context) == ("tiny", "cached")
    assert all(bool(torch.isfinite(p).all()) for p in network.parameters())
    latents = np.load(second / "latents.npz")
    flat = np.concatenate([latents[name] for name in latents]).astype(np.float32)
    assert 0.7 < float(flat.std()) < 1.4


def test_window_context_trains_too(tmp_path: Path) -> None:
    data, first, second = songs(tmp_path), tmp_path / "ae", tmp_path / "velocity"
    common = ["--data", str(data), "--threads", "1", "--steps", "2", "--batch", "2"]
    train_autoencoder.main([*common, "--out", str(first), "--preset", "tiny"])
    train_velocity.main(
        [*common, "--autoencoder", str(first), "--out", str(second), "--context", "window"]
    )
    assert train_velocity.load_velocity(second)[2] == "window"


def test_songs_too_short_for_a_window_are_named(tmp_path: Path) -> None:
    data, first = songs(tmp_path), tmp_path / "ae"
    common = ["--data", str(data), "--threads", "1", "--steps", "1", "--batch", "2"]
    train_autoencoder.main([*common, "--out", str(first), "--preset", "tiny"])
    with pytest.raises(SystemExit, match="longer recordings"):
        train_velocity.main(
            [*common, "--autoencoder", str(first), "--out", str(tmp_path / "v"), "--chunks", "999"]
        )


def test_latents_of_other_songs_are_not_taken(tmp_path: Path) -> None:
    data = Songs(songs(tmp_path))
    np.savez(tmp_path / "latents.npz", **{"else.wav": np.zeros((9, 8), np.float16)})
    with pytest.raises(SystemExit, match=r"holds other songs, not 0\.wav"):
        Latents(data, LiveAutoencoder(TINY.autoencoder), tmp_path / "latents.npz")
