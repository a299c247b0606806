from __future__ import annotations

import pytest
import torch
from transformers import DacConfig, DacModel, EncodecConfig, EncodecModel

from bench.peers import sizes
from bench.peers.musicgen import build
from bench.peers.torches import millions

PUBLISHED = {
    "DAC, its paper: 76 M": (DacModel, DacConfig, sizes.DAC_44KHZ, 76.0),
    "EnCodec at 24 kHz": (EncodecModel, EncodecConfig, sizes.ENCODEC_24KHZ, 14.85),
    "EnCodec at 32 kHz": (EncodecModel, EncodecConfig, sizes.ENCODEC_32KHZ, 56.9),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_codecs_have_the_published_parameters(name: str) -> None:
    model, config, size, published = PUBLISHED[name]
    with torch.device("meta"):
        assert millions(model(config(**size))) == pytest.approx(published, rel=0.01)


def test_musicgen_small_has_the_published_parameters() -> None:
    """110 M of T5-base's encoder, 420 M of the decoder, 57 M of the codec; 587 M on its card."""
    with torch.device("meta"):
        model = build()
    assert millions(model) == pytest.approx(587, rel=0.01)
    assert millions(model.text_encoder) == pytest.approx(110, rel=0.01)


def test_codecs_run_at_the_published_rates() -> None:
    encodec, small, dac = (
        EncodecConfig(**sizes.ENCODEC_32KHZ), EncodecConfig(**sizes.ENCODEC_24KHZ),
        DacConfig(**sizes.DAC_44KHZ),
    )  # fmt: skip
    assert encodec.sampling_rate / encodec.hop_length == sizes.MUSICGEN_FRAMES_HZ
    assert encodec.num_quantizers == sizes.ENCODEC_32KHZ_BOOKS
    assert small.sampling_rate / small.hop_length == 75
    assert 75 * 10 * sizes.ENCODEC_24KHZ_BOOKS == 6000
    assert dac.hop_length == 512
