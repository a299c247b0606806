"""What listens: rates, resampling, masks, and weights that a user brings."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from model.presets import LIVE, TINY
from model.semantic import Front, PretrainedListener, SemanticEncoder, resampled

SAMPLES = TINY.semantic.hop_samples * TINY.semantic.spectra


def encoder() -> SemanticEncoder:
    """A tiny one with random centroids."""
    torch.manual_seed(0)
    made = SemanticEncoder(TINY.semantic, TINY.autoencoder).eval()
    made.centroids.normal_()
    return made


def test_tokens_come_at_their_rate() -> None:
    assert TINY.token_rate_hz == LIVE.token_rate_hz == 25.0
    audio = torch.randn(2, 1, 12 * SAMPLES)
    made = encoder()
    hidden, tokens = made.hidden(audio), made.tokens(audio)
    assert hidden.shape == (2, 12, TINY.semantic.hidden)
    assert tokens.shape == (2, 12) and tokens.dtype == torch.int64
    distance = torch.cdist(hidden, made.centroids.expand(2, -1, -1))
    assert torch.equal(tokens, distance.argmin(-1))


def test_chunks_hold_whole_tokens() -> None:
    for preset in (TINY, LIVE):
        sizes = preset.prompted
        assert sizes.chunk_frames % sizes.token_frames == 0
        rate = preset.autoencoder.latent_rate_hz / sizes.token_frames
        assert rate == preset.token_rate_hz


def test_a_tone_lights_its_pitch_band() -> None:
    front = Front(LIVE.semantic, 24_000)
    t = torch.arange(24_000) / 24_000
    rows = front(torch.sin(2 * math.pi * 440 * t)[None, None])
    pitch = rows[0, 10, : front.pitch.shape[1]]
    assert abs(int(pitch.argmax()) - round(24 * math.log2(440 / 55))) <= 1


def test_hidden_rows_are_not_seen() -> None:
    made, rows = encoder(), torch.randn(1, 10, encoder().front.size)
    hide = torch.zeros(1, 10, dtype=torch.bool)
    hide[0, 4] = True
    other = rows.clone()
    other[0, 4] += 3.0
    with torch.no_grad():
        assert torch.equal(made.heard(rows, hide), made.heard(other, hide))
        assert not torch.equal(made.heard(rows), made.heard(other))


@pytest.mark.parametrize("rate_hz", [24_000, 8_000, 44_100, 16_000])
def test_resampling_keeps_a_tone(rate_hz: int) -> None:
    wanted_hz = 16_000

    def tone(rate: int) -> torch.Tensor:
        return torch.sin(2 * math.pi * 440 * torch.arange(rate // 5) / rate)[None]

    found = resampled(tone(rate_hz), rate_hz, wanted_hz)
    wanted = tone(wanted_hz)
    assert found.shape == wanted.shape
    assert (found - wanted)[:, 200:-200].abs().max() < 2e-3


def test_a_users_own_conformer_is_loaded_from_disk(tmp_path: Path) -> None:
    from transformers import Wav2Vec2ConformerConfig, Wav2Vec2ConformerModel

    torch.manual_seed(0)
    config = Wav2Vec2ConformerConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        conv_dim=(8,) * 7, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        conv_depthwise_kernel_size=3, position_embeddings_type="rotary",
    )  # fmt: skip
    model = Wav2Vec2ConformerModel(config).eval()
    model.save_pretrained(tmp_path)
    listener = PretrainedListener(tmp_path, 2, 16_000, vocabulary=5)
    audio = torch.randn(1, 1, 32_000)
    with torch.no_grad():
        hidden = listener.hidden(audio)
        assert hidden.shape == (1, 50, 16)  # 2 s at 25 Hz
        assert listener.tokens(audio).shape == (1, 50)
        other = PretrainedListener(tmp_path, 1, 16_000).hidden(audio)
    assert not torch.allclose(hidden, other)
    with pytest.raises(ValueError, match=r"layer 3: .* has 1 … 2"):
        PretrainedListener(tmp_path, 3, 16_000)
    with pytest.raises(OSError):
        PretrainedListener(tmp_path / "nothing", 1, 16_000)
