"""The live autoencoder in training: its adversarial stage, and options that do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from test_excerpts import songs

from model import train_autoencoder
from model.autoencoder import LiveAutoencoder
from model.train_autoencoder import parser, settle


def command(data: Path, out: Path, *more: str) -> list[str]:
    return [
        "--data", f"{data}", "--out", f"{out}", "--preset", "tiny", "--steps", "2", "--batch", "2",
        "--seconds", "0.3", "--threads", "1", "--discriminator-width", "1", *more,
    ]  # fmt: skip


def logged(run: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]


def test_the_adversarial_stage_sharpens_the_decoder_and_leaves_the_latents(tmp_path: Path) -> None:
    data, run = songs(tmp_path), tmp_path / "run"
    second = run / "adversarial"
    assert train_autoencoder.main(command(data, run)) == 0
    plain, _ = train_autoencoder.load_autoencoder(run)
    assert train_autoencoder.main(command(data, run, "--adversarial-minutes", "0.001")) == 0
    sharp, _ = train_autoencoder.load_autoencoder(run)
    assert isinstance(plain, LiveAutoencoder) and isinstance(sharp, LiveAutoencoder)
    assert torch.equal(plain.mean, sharp.mean) and torch.equal(plain.std, sharp.std)
    for a, b in zip(plain.encoder.parameters(), sharp.encoder.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(plain.decoder.head.weight, sharp.decoder.head.weight)
    state = torch.load(second / "checkpoint.pt", weights_only=True)
    assert {"judges", "mine", "theirs"} <= state.keys() and state["step"] >= 1

    longer = f"{(state['seconds'] + 0.1) / 60}"
    assert train_autoencoder.main(command(data, run, "--adversarial-minutes", longer)) == 0
    resumed = torch.load(second / "checkpoint.pt", weights_only=True)
    assert resumed["step"] > state["step"] and logged(second)[-1] == resumed["step"]
    assert logged(run)[-1] == 2  # the first stage was over and stayed as it was


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--keep-latents"], "name one"),
        (["--device", "cuda"], "--preset tiny trains on the CPU"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: list[str], says: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=says):
        train_autoencoder.main(command(tmp_path, tmp_path / "run", *options))


def test_weights_of_another_preset_are_refused(tmp_path: Path) -> None:
    network = LiveAutoencoder(train_autoencoder.PRESETS["tiny"].autoencoder)
    torch.save({"preset": "tiny", "average": network.state_dict()}, tmp_path / "checkpoint.pt")
    with pytest.raises(SystemExit, match="is of preset tiny: say --preset tiny"):
        train_autoencoder.start_from(network, tmp_path, "live")


@pytest.mark.parametrize(("preset", "lr", "kl", "width"), [("live", 1e-3, 8e-3, 8),
                                                          ("paper", 2e-4, 5e-3, 32)])  # fmt: skip
def test_each_form_has_its_own_defaults(preset: str, lr: float, kl: float, width: int) -> None:
    args = parser().parse_args(["--data", "d", "--out", "o", "--preset", preset, "--pitch", "0.5"])
    settle(args)
    assert (args.lr, args.kl, args.discriminator_width, args.pitch) == (lr, kl, width, 0.5)
