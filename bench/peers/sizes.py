"""The published sizes of the peers, as the arguments of their own classes, each with its source.

Weights are drawn at random: speed depends on shapes, not on values.
"""

from __future__ import annotations

from typing import Any

Sizes = dict[str, Any]

MUSICGEN_FRAMES_HZ = 50
MUSICGEN_GUIDANCE = 3.0
"""Simple and Controllable Music Generation, arXiv 2306.05284, sections 3 and 4.2: 32 kHz, 50 frames
a second, classifier-free guidance of 3."""

MUSICGEN_SMALL_DECODER: Sizes = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "ffn_dim": 4096,
    "num_codebooks": 4,
    "vocab_size": 2048,
}
"""The "300M" model of the same paper; audiocraft, config/model/lm/model_scale/small.yaml."""

T5_BASE: Sizes = {
    "vocab_size": 32128,
    "d_model": 768,
    "d_kv": 64,
    "d_ff": 3072,
    "num_layers": 12,
    "num_heads": 12,
}
"""Its text encoder. Exploring the Limits of Transfer Learning, arXiv 1910.10683, section 3.7, Base;
32,000 word pieces and the sentinels, padded to 32,128."""

ENCODEC_24KHZ: Sizes = {
    "sampling_rate": 24_000,
    "num_filters": 32,
    "upsampling_ratios": [8, 5, 4, 2],
    "hidden_size": 128,
    "num_lstm_layers": 2,
    "codebook_size": 1024,
    "use_causal_conv": True,
}
"""High Fidelity Neural Audio Compression, arXiv 2210.13438, section 3.1."""

ENCODEC_24KHZ_BOOKS = 8
"""Of the same paper, section 3.2: 6 kbit/s at 75 frames a second and 10 bits a code."""

ENCODEC_32KHZ: Sizes = {
    "sampling_rate": 32_000,
    "num_filters": 64,
    "upsampling_ratios": [8, 5, 4, 4],
    "hidden_size": 128,
    "num_lstm_layers": 2,
    "codebook_size": 2048,
    "target_bandwidths": [2.2],
    "use_causal_conv": False,
    "use_conv_shortcut": False,
}
"""MusicGen's codec: arXiv 2306.05284, section 4.1; audiocraft,
config/model/encodec/encodec_large_nq4_s640.yaml and default.yaml."""

ENCODEC_32KHZ_BOOKS = 4

DAC_44KHZ: Sizes = {
    "sampling_rate": 44_100,
    "encoder_hidden_size": 64,
    "downsampling_ratios": [2, 4, 8, 8],
    "decoder_hidden_size": 1536,
    "n_codebooks": 9,
    "codebook_size": 1024,
    "codebook_dim": 8,
}
"""High-Fidelity Audio Compression with Improved RVQGAN, arXiv 2306.06546, section 4;
descript-audio-codec, conf/final/44khz.yml."""

RAVE_CONFIG = "v2.gin"
"""RAVE (arXiv 2111.05011) as its package ships it: acids-rave, rave/configs/v2.gin at 44.1 kHz."""
