"""The published VAE-GAN in training: its loss, a kill and what comes after, and its latents."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from model import losses, train_autoencoder, train_velocity
from model.autoencoder_paper import PAPER_TINY, PaperAutoencoder
from model.corpus.dataset import prepare
from model.discriminators import Discriminators, opinion
from model.excerpts import Excerpts, validate
from model.train_autoencoder_paper import generator_loss, train_published
from model.training import Budget, Run, cores

RATE_HZ = PAPER_TINY.sample_rate_hz
SAVING = """
import sys
from model import train_autoencoder, training
training.Run.due = lambda run: run.step == 2
train_autoencoder.main(sys.argv[1:])
"""


def songs(folder: Path) -> Path:
    """A prepared folder of decaying tones."""
    rng, t = np.random.default_rng(0), np.arange(RATE_HZ // 2) / RATE_HZ
    (folder / "songs").mkdir()
    for number in range(4):
        notes = [220 * 2 ** (rng.integers(0, 12) / 12) for _ in range(16)]
        audio = np.concatenate([np.sin(2 * np.pi * f * t) * np.exp(-3 * t) for f in notes])
        soundfile.write(folder / "songs" / f"{number}.wav", 0.4 * audio, RATE_HZ)
    prepare(folder / "songs", folder / "data", RATE_HZ, 1, 0.3)
    return folder / "data"


def command(data: Path, out: Path, steps: int) -> list[str]:
    return [
        "--data", f"{data}", "--out", f"{out}", "--preset", "tiny-paper", "--steps", f"{steps}",
        "--batch", "2", "--seconds", "0.2", "--discriminator-width", "1",
        "--validate-every", "30", "--threads", "1",
    ]  # fmt: skip


def killed(arguments: list[str], checkpoint: Path) -> None:
    """Train in a process of its own, which saves at its third step, and kill it there."""
    process = subprocess.Popen([sys.executable, "-c", SAVING, *arguments])
    try:
        for _ in range(1200):
            if checkpoint.exists() or process.poll() is not None:
                break
            time.sleep(0.1)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL


def logged(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_it_learns_to_reconstruct(tmp_path: Path) -> None:
    options = [*command(songs(tmp_path), tmp_path / "run", 30), "--lr", "5e-3"]
    args = train_autoencoder.parser().parse_args(options)
    train_autoencoder.settle(args)
    with cores(1, 1) as generator:
        network = PaperAutoencoder(PAPER_TINY)
        excerpts = Excerpts(args.data, PAPER_TINY, args.seconds, generator)
        run = Run(args.out, Budget(args.steps, 10.0, warmup=5))
        validate(network, network.decode, excerpts, run)  # untrained
        train_published(network, excerpts, run, args)
    lines = logged(args.out)
    assert lines[-1]["mel_error_db"] < lines[0]["mel_error_db"] - 3.0
    assert lines[-1]["clipped"] < 1e-3


def test_it_survives_a_kill_and_leaves_what_it_promises(tmp_path: Path) -> None:
    data, run = songs(tmp_path), tmp_path / "run"
    killed(command(data, run, 100_000), run / "checkpoint.pt")
    before = torch.load(run / "checkpoint.pt", weights_only=True)
    assert before["step"] == 2 and before["preset"] == "tiny-paper"
    assert before["judges"] and before["theirs"]["state"]

    assert train_autoencoder.main(command(data, run, 5)) == 0
    after = torch.load(run / "checkpoint.pt", weights_only=True)
    assert logged(run)[-1]["step"] == after["step"] == 5
    steps = [next(iter(state[name]["state"].values()))["step"].item()
             for state in (before, after) for name in ("mine", "theirs")]  # fmt: skip
    assert steps == [3, 3, 6, 6]  # the optimisers go on; the step it was killed in is taken again
    assert (run / "curve.png").exists() and list((run / "samples").glob("*.flac"))

    network, preset = train_autoencoder.load_autoencoder(run)
    assert isinstance(network, PaperAutoencoder) and preset.name == "tiny-paper"
    assert float(network.std.min()) > 0 and float(network.mean.abs().sum()) > 0
    made = tmp_path / "velocity"
    velocity = ["--data", f"{data}", "--autoencoder", f"{run}", "--out", f"{made}", "--context",
                "window", "--steps", "1", "--batch", "2", "--threads", "1"]  # fmt: skip
    assert train_velocity.main(velocity) == 0
    trained, _, context = train_velocity.load_velocity(made)
    assert (trained.preset.dim, context) == (16, "window")


def test_the_loss_is_the_published_sum() -> None:
    torch.manual_seed(0)
    judges, audio = Discriminators(1), 0.1 * torch.randn(2, 1, 2400)
    copy = audio + 0.05 * torch.randn_like(audio)
    features, adversarial = opinion(judges, audio, copy)
    wanted = 50 * losses.spectral_loss(copy, audio) + 20 * features + adversarial
    assert float(generator_loss(judges, audio, copy)) == pytest.approx(float(wanted), rel=1e-6)
    exact = generator_loss(judges, audio, audio)
    assert float(exact) == pytest.approx(float(opinion(judges, audio, audio)[1]), rel=1e-4)


def test_the_latents_of_another_run_can_be_kept(tmp_path: Path) -> None:
    data, first, second = songs(tmp_path), tmp_path / "first", tmp_path / "second"
    train_autoencoder.main(command(data, first, 1))
    kept = ["--init", f"{first}", "--keep-latents"]
    train_autoencoder.main([*command(data, second, 2), *kept])
    one, two = (train_autoencoder.load_autoencoder(run)[0] for run in (first, second))
    assert torch.equal(one.mean, two.mean) and torch.equal(one.std, two.std)
    for a, b in zip(one.encoder.parameters(), two.encoder.parameters(), strict=True):
        assert torch.equal(a, b)
    moved = zip(one.decoder.parameters(), two.decoder.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in moved)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--adversarial-minutes", "1"], "leave --adversarial-minutes out"),
        (["--tones", "1"], "has no oscillators: leave --tones out"),
        (["--device", "cuda:9"], "torch sees no GPU here"),
    ],
)
def test_options_of_the_live_form_or_of_another_machine(
    options: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match=says):
        train_autoencoder.main([*command(tmp_path, tmp_path / "run", 1), *options])
