"""The joint embedding: two towers on one sphere, and the quantiser over it."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.corpus.phrases import known_words
from model.mulan import Mulan, MulanSizes, Quantiser, centroids

TINY = MulanSizes(features=6, words=20, embedding=8, width=16, heads=2, codes=3, code_vocabulary=8)


@pytest.fixture
def network() -> Mulan:
    torch.manual_seed(0)
    return Mulan(TINY).eval()


def test_both_towers_end_on_the_sphere(network: Mulan) -> None:
    audio = network.audio_embedding(torch.randn(3, 23, 6))
    text = network.text_embedding(torch.randint(1, 21, (3, 5)))
    for rows in (audio, text):
        assert rows.shape == (3, 8)
        assert torch.allclose(rows.norm(dim=-1), torch.ones(3), atol=1e-5)


def test_what_is_masked_is_not_heard(network: Mulan) -> None:
    features, mask = torch.randn(2, 32, 6), torch.ones(2, 32, dtype=torch.bool)
    mask[:, 20:] = False
    short = network.audio_embedding(features[:, :20])
    assert torch.allclose(network.audio_embedding(features, mask), short, atol=1e-5)


def test_filling_up_with_no_words_changes_nothing(network: Mulan) -> None:
    words = torch.tensor([[3, 9, 4]])
    filled = torch.tensor([[3, 9, 4, 0, 0, 0]])
    assert torch.allclose(network.text_embedding(words), network.text_embedding(filled), atol=1e-5)
    assert torch.isfinite(network.text_embedding(torch.zeros(1, 4, dtype=torch.int64))).all()


def test_the_order_of_words_counts(network: Mulan) -> None:
    forth = network.text_embedding(torch.tensor([[3, 9, 4]]))
    back = network.text_embedding(torch.tensor([[4, 9, 3]]))
    assert not torch.allclose(forth, back, atol=1e-4)


def test_pairs_that_lie_together_cost_least(network: Mulan) -> None:
    rows, words = F.normalize(torch.randn(6, 8), dim=-1), torch.arange(6)[:, None]
    matched = network.loss(rows, rows, words)
    assert matched < network.loss(rows, rows.roll(1, 0), words)


def test_clips_with_the_same_words_share(network: Mulan) -> None:
    """Two clips under one caption cost no more than not to know which of the two it is."""
    rows = torch.eye(8)[[0, 0, 1, 2]]
    network.log_scale.data.fill_(5.0)
    same = network.loss(rows, rows, torch.tensor([[1], [1], [2], [3]]))
    assert float(same.detach()) == pytest.approx(0.5 * np.log(2), abs=1e-3)


def test_each_level_of_the_quantiser_comes_nearer() -> None:
    torch.manual_seed(0)
    rows = F.normalize(torch.randn(400, 8), dim=-1)
    errors = []
    for codes in (1, 2, 4):
        quantiser = Quantiser(codes, 16, 8)
        quantiser.fit(rows)
        found = quantiser.codes(rows)
        back = quantiser.quantised(found)
        assert found.shape == (400, codes) and found.dtype == torch.int64
        assert int(found.min()) >= 0 and int(found.max()) < 16
        assert torch.allclose(back.norm(dim=-1), torch.ones(400), atol=1e-5)
        errors.append(float((back - rows).square().sum(-1).mean()))
    assert errors[0] > 1.2 * errors[1] > 1.2 * errors[2]


def test_k_means_finds_clear_clusters() -> None:
    torch.manual_seed(1)
    places = torch.eye(5) * 10
    points = places.repeat(40, 1) + 0.1 * torch.randn(200, 5)
    found = centroids(points, 12, 10)
    assert float(torch.cdist(places, found).amin(1).max()) < 0.5


def test_fewer_points_than_entries_are_all_kept() -> None:
    quantiser = Quantiser(2, 16, 8)
    rows = F.normalize(torch.randn(5, 8), dim=-1)
    quantiser.fit(rows)
    assert torch.allclose(quantiser.quantised(quantiser.codes(rows)), rows, atol=1e-3)


def test_the_live_size_is_small() -> None:
    network = Mulan(MulanSizes(features=64, words=len(known_words())))
    values = [*network.parameters(), *network.buffers()]
    assert sum(one.numel() for one in values) < 900_000


class _Method(nn.Module):
    def __init__(self, network: Mulan, name: str) -> None:
        super().__init__()
        self.network, self.name = network, name

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = getattr(self.network, self.name)(x)
        return found


@pytest.mark.parametrize("name", ["audio_embedding", "text_embedding"])
def test_both_towers_export_with_a_free_length(network: Mulan, name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    inputs = [torch.randn(1, n, 6) for n in (40, 101)] if name == "audio_embedding" else [
        torch.randint(1, 21, (1, n)) for n in (7, 1)]  # fmt: skip
    program = torch.onnx.export(
        _Method(network, name).eval(), (inputs[0],), dynamo=True, verbose=False,
        dynamic_shapes={"x": {1: torch.export.Dim.AUTO}},
    )  # fmt: skip
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    for x in inputs:
        found = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
        with torch.no_grad():
            assert np.allclose(found, getattr(network, name)(x).numpy(), atol=1e-4)


def test_the_quantiser_exports(network: Mulan) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    network.quantiser.fit(F.normalize(torch.randn(50, 8), dim=-1))
    row = F.normalize(torch.randn(1, 8), dim=-1)
    method = _Method(network, "codes").eval()
    program = torch.onnx.export(method, (row,), dynamo=True, verbose=False)
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    found = session.run(None, {session.get_inputs()[0].name: row.numpy()})[0]
    assert (found == network.codes(row).numpy()).all()
