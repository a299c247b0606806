"""Windows for the velocity network: what belongs to one moment stays together."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch

from engine.brief import FAMILIES
from model import material
from model.briefs import Briefs
from model.material import Latents, Material
from model.presets import TINY
from model.tokenise import Semantics

PRESET = TINY.prompted
UNIT = PRESET.token_frames
CHUNKS = 8
FRAMES = 400


class Store:
    """Tokens of five songs: token n of song s is 1000·s + n."""

    def __init__(self) -> None:
        self.tokens = {str(s): 1000 * s + np.arange(FRAMES // UNIT) for s in range(5)}


class Asked:
    """The prompt and the controls of a song are its number."""

    def __init__(self) -> None:
        self.surely: list[tuple[str, ...]] = []

    def controls(
        self, name: str, start: int, count: int, rng: object, surely: tuple[str, ...]
    ) -> np.ndarray:
        self.surely.append(surely)
        return np.full((count, 3), float(name), np.float32)

    def prompt(self, name: str, start: int, rng: object) -> tuple[None, torch.Tensor]:
        return None, torch.full((1, 2), float(name))


def made() -> Material:
    """Latents that say where they are from, as the tokens do."""
    latents = Latents.__new__(Latents)
    latents.oftener = {}
    frame = torch.arange(FRAMES)[:, None].expand(-1, PRESET.dim)
    latents.songs = {"train": {str(s): 1000.0 * s + frame // UNIT for s in range(5)}}
    store, asked = cast(Semantics, Store()), cast(Briefs, Asked())
    return Material(latents, PRESET, store, asked)


def test_latents_tokens_and_brief_are_of_the_same_moment() -> None:
    windows = made().windows("train", 40, CHUNKS, np.random.default_rng(0))
    assert windows.tokens is not None and windows.brief is not None
    assert windows.latents.shape == (40, CHUNKS, PRESET.chunk_frames, PRESET.dim)
    assert torch.equal(windows.latents[..., ::UNIT, 0].long(), windows.tokens)
    assert torch.equal(windows.brief[..., 0].long(), windows.tokens[..., 0] // 1000)


def test_as_many_stretches_as_wanted_are_told_every_family() -> None:
    data = made()
    for part, least, most in ((0.0, 0, 0), (0.5, 60, 140), (1.0, 200, 200)):
        asked = Asked()
        data.briefs, data.families = cast(Briefs, asked), part
        for _ in range(200):
            data.stretch("train", "1", 0, 2, np.random.default_rng(len(asked.surely)))
        assert least <= asked.surely.count(FAMILIES) <= most
        assert set(asked.surely) <= {FAMILIES, ()}


def test_songs_are_taken_as_often_as_is_wanted() -> None:
    data = made()
    data.latents.oftener = {"3": 6.0}
    places = data.latents.places("train", 500, 40, np.random.default_rng(0))
    parts = [sum(name == str(song) for name, _ in places) / 500 for song in range(5)]
    assert parts[3] == pytest.approx(0.6, abs=0.06)
    assert all(part == pytest.approx(0.1, abs=0.05) for part in (*parts[:3], parts[4]))


def test_some_windows_go_over_to_other_songs_at_whole_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(material, "SPLICED", 1.0)
    tokens = made().windows("train", 60, CHUNKS, np.random.default_rng(1)).tokens
    assert tokens is not None
    steps = tokens.flatten(1).diff(dim=1) != 1
    assert 1 < (steps.sum(1) + 1).float().mean() < material.STRETCHES
    assert steps.sum(1).max() == material.STRETCHES - 1
    within = torch.ones(steps.shape[1], dtype=torch.bool)
    within[tokens.shape[2] - 1 :: tokens.shape[2]] = False
    assert not steps[:, within].any()


def test_a_window_of_one_chunk_is_of_one_song(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(material, "SPLICED", 1.0)
    windows = made().windows("train", 4, 1, np.random.default_rng(2))
    assert windows.latents.shape[1] == 1
