"""bench.rechunk: the same weights in chunks of another size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_export import packed

from bench.rechunk import rechunked
from engine.backends import open_backend, standin
from engine.bundle import Bundle
from engine.controls import Controls
from engine.errors import UsageError
from engine.generator import Generator
from engine.session import Floats


def latents(bundle: Bundle) -> Floats:
    generator = Generator(bundle, open_backend("ort", bundle), seed=3)
    controls = Controls(bundle.manifest.controls).snapshot()
    return np.concatenate([generator.tick(controls).latents for _ in range(3)])


def test_the_size_that_it_has_leaves_the_music_as_it_is(tmp_path: Path) -> None:
    bundle = packed()[1]
    again = rechunked(bundle, bundle.manifest.chunk_frames[0], tmp_path / "again")
    assert again.manifest.context == bundle.manifest.context
    np.testing.assert_allclose(latents(again), latents(bundle), atol=1e-4)


def test_half_the_size_plays_and_looks_back_as_far_as_it_is_told(tmp_path: Path) -> None:
    """And without the graph that a bundle need not have."""
    bundle = packed()[1]
    graphs = {name: one for name, one in bundle.manifest.graphs.items() if name != "descend"}
    bundle = replace(bundle, manifest=replace(bundle.manifest, graphs=graphs))
    back_s = 3 * bundle.manifest.context.chunks * bundle.manifest.chunk_s
    half = rechunked(bundle, bundle.manifest.chunk_frames[0] // 2, tmp_path / "half", back_s)
    assert half.manifest.chunk_s == bundle.manifest.chunk_s / 2
    assert half.manifest.context.chunks == 6 * bundle.manifest.context.chunks
    assert np.isfinite(latents(half)).all()


@pytest.mark.parametrize("frames", [3, 1000])
def test_a_size_that_cannot_be_is_refused(frames: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{frames} frames"):
        rechunked(packed()[1], frames, tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_the_stand_in_has_no_networks(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be exported"):
        rechunked(standin.bundle(), 4, tmp_path / "no")
