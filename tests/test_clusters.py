"""k-means finds what is there, however much is asked for."""

from __future__ import annotations

import torch

from model.clusters import centroids, nearest


def blobs(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Their true centres [count, 3] and 40 points around each."""
    torch.manual_seed(0)
    centres = 10 * torch.randn(count, 3)
    return centres, (centres[:, None] + 0.1 * torch.randn(count, 40, 3)).flatten(0, 1)


def test_every_blob_has_a_centre_that_is_its_mean() -> None:
    true, points = blobs(5)
    found = centroids(points, 20, 10)
    gap = torch.cdist(true, found).amin(1)
    assert float(gap.max()) < 0.2


def test_more_centres_than_points_are_no_harm() -> None:
    _, points = blobs(1)
    found = centroids(points[:3], 8, 4)
    assert found.shape == (8, 3) and bool(torch.isfinite(found).all())
    assert float(torch.cdist(points[:3], found).amin(1).max()) < 1e-5


def test_nearest_is_nearest() -> None:
    true, points = blobs(6)
    assert torch.equal(nearest(points, true), torch.cdist(points, true).argmin(-1))
    assert nearest(points.reshape(6, 40, 3), true).shape == (6, 40)
