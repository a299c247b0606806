"""The autoencoder at a bundle's own rate and channels."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import soundfile

from bench import wide
from bench.playing import Player
from engine.spec import AudioSpec
from model.corpus.dataset import prepare

RATE_HZ = 24_000
STEREO = AudioSpec(RATE_HZ, 2)


class Louder:
    """Copies at twice the level."""

    def whole_copy(self, audio: wide.Stereo) -> wide.Stereo:
        return 2 * audio


def noise(seconds: float, width: float) -> wide.Stereo:
    middle, side = np.random.default_rng(0).normal(0, 0.1, (2, round(seconds * RATE_HZ), 1))
    return np.concatenate([middle + width * side, middle - width * side], 1).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings that are long enough, and one that is not."""
    made = tmp_path_factory.mktemp("wide")
    for name, seconds in (("a", 20.0), ("b", 30.0), ("short", 5.0)):
        soundfile.write(made / f"{name}.flac", noise(seconds, 0.5), RATE_HZ)
    prepare(made, made / "data", RATE_HZ, 2)
    return made


def test_a_louder_copy_is_off_by_as_much_and_no_wider(folder: Path) -> None:
    player = cast(Player, Louder())
    found = wide.copies(player, wide.songs(folder / "data", "all", 9, STEREO), RATE_HZ)
    assert found["pieces"] == 2
    assert found["mel_error_db"] == pytest.approx(6.02, abs=0.01)
    assert found["width_db"] == pytest.approx(0, abs=1e-3)


def test_only_data_of_the_same_form_counts(folder: Path) -> None:
    assert not list(wide.songs(folder / "data", "all", 9, AudioSpec(RATE_HZ, 1)))
    assert wide.copies(cast(Player, Louder()), iter(()), RATE_HZ) == {}


def test_takes_are_read_as_the_bundle_plays(folder: Path) -> None:
    found = dict(wide.takes(folder, AudioSpec(48_000, 1)))
    assert {name: audio.shape for name, audio in found.items()} == {
        "a.flac": (384_000, 1), "b.flac": (384_000, 1)
    }  # fmt: skip


def test_width_is_side_against_middle() -> None:
    assert wide.width_db(noise(2, 1.0)) == pytest.approx(0, abs=0.2)
    assert wide.width_db(noise(2, 0.1)) == pytest.approx(-20, abs=0.2)
    assert wide.width_db(noise(2, 0.0)) < -60
