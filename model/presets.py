"""Named sizes of the networks: one dial each, everything else is derived.

`tiny` trains in seconds (tests), `live` is what ships, `paper` has the published sizes
(MeLoDy, arXiv 2305.15719, appendix) and `tiny-paper` its form, for tests; their audio VAE-GAN
lives in `model.autoencoder_paper`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.brief import brief_size
from model.autoencoder_paper import PAPER as PAPER_CODEC
from model.autoencoder_paper import PAPER_TINY, PaperPreset

CONTEXT_ANGLE = 0.05
"""Angle at which finished chunks are shown to the velocity network, in radians."""


@dataclass(frozen=True, slots=True)
class AutoencoderPreset:
    """The live autoencoder: a spectrogram encoder and a causal ConvNeXt + iSTFT decoder."""

    sample_rate_hz: int
    channels: int
    frame_samples: int  # one latent frame
    hop_samples: int  # one spectrum of the decoder's head and of the encoder's input
    fft_samples: int  # window of the head
    encoder_ffts: tuple[int, ...]  # windows of the encoder's spectra, in samples as it hears them
    dim: int  # latent channels
    widths: tuple[int, int]  # at the spectrum rate, at the latent rate
    encoder_blocks: tuple[int, int]  # at the spectrum rate, at the latent rate
    decoder_blocks: tuple[int, int]  # at the latent rate, at the spectrum rate
    oscillators_per_octave: int  # of the tonal bank; 0: no bank
    octaves: int  # of the tonal bank, from A0 = 27.5 Hz up
    heard_part: int = 1  # the encoder hears one in so many samples, and the mean of the channels

    def __post_init__(self) -> None:
        if self.channels not in (1, 2):
            raise ValueError(f"{self.channels} channels: the decoder makes 1 or 2")
        if self.hop_samples % self.heard_part:
            raise ValueError(f"1 in {self.heard_part} samples does not divide {self.hop_samples}")

    @property
    def latent_rate_hz(self) -> int:
        """Latent frames a second."""
        return self.sample_rate_hz // self.frame_samples

    @property
    def spectra_per_frame(self) -> int:
        """Decoder spectra in one latent frame."""
        return self.frame_samples // self.hop_samples


Codec = AutoencoderPreset | PaperPreset
"""Of either form: both name rate, channels, samples of a frame and latent channels."""


@dataclass(frozen=True, slots=True)
class SemanticPreset:
    """What listens: spectra on a grid of pitches and of mel bands, a conformer, k-means."""

    pitch_fft: int  # of the pitch bands; a power of two; in samples as they are heard
    mel_fft: int
    mel_bands: int
    hop_samples: int  # one spectrum, in samples as they are heard
    spectra: int  # in one token
    width: int
    layers: int
    heads: int
    kernel: int  # of the conformer's convolution, in tokens
    hidden: int  # values of the layer that is quantised
    vocabulary: int  # semantic tokens


@dataclass(frozen=True, slots=True)
class LanguagePreset:
    """The semantic language model: LLaMA's form over tokens without end."""

    vocabulary: int
    width: int
    layers: int
    heads: int  # of queries
    kv_heads: int  # of keys and values, each for heads / kv_heads of queries
    feedforward: float  # inner width of the gated feed-forward, as a multiple of width
    context: int  # tokens it looks back on
    codes: int  # prompt codes in front
    code_vocabulary: int

    def __post_init__(self) -> None:
        _check_heads(self.heads, self.kv_heads)


@dataclass(frozen=True, slots=True)
class VelocityPreset:
    """The dual-path velocity network, in either context."""

    dim: int  # latent channels
    width: int
    merged: tuple[int, ...]  # columns left by the merge, one entry a block
    heads: int  # of queries
    kv_heads: int  # of keys and values, each for heads / kv_heads of queries
    segment_frames: int  # K of the paper
    chunk_frames: int
    context_chunks: int  # finished chunks it looks back on; the window's M in window context
    recurrent_width: int  # SRU width of one direction
    feedforward: float  # inner width of the gated feed-forward, as a multiple of width
    angle_width: int  # e_start, e_end
    norm: str  # "pre": before each branch; "post": after each sum, as published
    vocabulary: int = 1024  # semantic tokens
    token_frames: int = 10  # latent frames of one token
    brief: int = 0  # length of the brief
    conditions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        half = self.segment_frames // 2
        if self.segment_frames % 2 or self.chunk_frames % half:
            raise ValueError(
                f"a chunk of {self.chunk_frames} frames holds no whole number of "
                f"half segments ({self.segment_frames}/2 frames)"
            )
        if any(self.segment_frames % columns for columns in self.merged):
            raise ValueError(f"merged {self.merged} must divide segment {self.segment_frames}")
        _check_heads(self.heads, self.kv_heads)


def _check_heads(heads: int, kv_heads: int) -> None:
    if heads % kv_heads:
        raise ValueError(f"{kv_heads} heads of keys must divide {heads} of queries")


@dataclass(frozen=True, slots=True)
class Preset:
    """Everything that one name stands for."""

    name: str
    autoencoder: Codec
    velocity: VelocityPreset
    semantic: SemanticPreset
    language: LanguagePreset
    joint: int  # width of the joint music-text space

    @property
    def token_rate_hz(self) -> float:
        """Semantic tokens a second."""
        return self.autoencoder.sample_rate_hz / self.token_samples

    @property
    def token_samples(self) -> int:
        """Samples of the audio in one semantic token."""
        return self.semantic.hop_samples * self.semantic.spectra * self.autoencoder.heard_part

    @property
    def prompted(self) -> VelocityPreset:
        """The velocity network with its conditions."""
        return replace(
            self.velocity,
            conditions=("tokens", "brief"),
            vocabulary=self.semantic.vocabulary,
            token_frames=self.token_samples // self.autoencoder.frame_samples,
            brief=brief_size(self.joint),
        )


TINY = Preset(
    name="tiny",
    autoencoder=AutoencoderPreset(
        sample_rate_hz=8000, channels=1, frame_samples=160, hop_samples=80, fft_samples=320,
        encoder_ffts=(512,), dim=8, widths=(24, 32), encoder_blocks=(1, 1),
        decoder_blocks=(1, 1), oscillators_per_octave=12, octaves=4,
    ),
    velocity=VelocityPreset(
        dim=8, width=32, merged=(2, 1), heads=2, kv_heads=1, segment_frames=4,
        chunk_frames=8, context_chunks=6, recurrent_width=16, feedforward=1.0, angle_width=16,
        norm="pre",
    ),
    semantic=SemanticPreset(
        pitch_fft=1024, mel_fft=256, mel_bands=12, hop_samples=160, spectra=2, width=16,
        layers=2, heads=2, kernel=3, hidden=8, vocabulary=32,
    ),
    language=LanguagePreset(
        vocabulary=32, width=16, layers=2, heads=2, kv_heads=1, feedforward=2.0, context=24,
        codes=12, code_vocabulary=256,
    ),
    joint=64,
)  # fmt: skip

LIVE = Preset(
    name="live",
    autoencoder=AutoencoderPreset(
        sample_rate_hz=48000, channels=2, frame_samples=960, hop_samples=480, fft_samples=1920,
        encoder_ffts=(2048, 512), dim=64, widths=(256, 384), encoder_blocks=(2, 3),
        decoder_blocks=(3, 5), oscillators_per_octave=24, octaves=7, heard_part=2,
    ),
    velocity=VelocityPreset(
        dim=64, width=192, merged=(4, 2, 1, 1, 2, 4), heads=6, kv_heads=1,
        segment_frames=8, chunk_frames=16, context_chunks=20, recurrent_width=96, feedforward=2.0,
        angle_width=256, norm="pre",
    ),
    semantic=SemanticPreset(
        pitch_fft=4096, mel_fft=1024, mel_bands=64, hop_samples=480, spectra=2, width=192,
        layers=3, heads=4, kernel=15, hidden=64, vocabulary=1024,
    ),
    language=LanguagePreset(
        vocabulary=1024, width=256, layers=4, heads=4, kv_heads=4, feedforward=2.0, context=256,
        codes=12, code_vocabulary=256,
    ),
    joint=64,
)  # fmt: skip

PAPER = Preset(
    name="paper",
    autoencoder=PAPER_CODEC,
    # The inner widths of the recurrent layers and of the feed-forwards are not published; SRUs of
    # the full width in each direction and gated feed-forwards of 10 widths come to the
    # published 296.6 M within 5 %.
    # 640 frames a chunk instead of 625: whole segments and whole tokens (trap 6 of the paper).
    velocity=VelocityPreset(
        dim=16, width=768, merged=(32, 16, 8, 4, 4, 8, 16, 32), heads=12, kv_heads=12,
        segment_frames=64, chunk_frames=640, context_chunks=4, recurrent_width=768,
        feedforward=10.0, angle_width=256, norm="post", conditions=("tokens",),
    ),
    # 199.5 M and 429.5 M are published for the two; their inner sizes are not.
    semantic=SemanticPreset(
        pitch_fft=4096, mel_fft=1024, mel_bands=80, hop_samples=480, spectra=2, width=1024,
        layers=8, heads=16, kernel=31, hidden=1024, vocabulary=1024,
    ),
    language=LanguagePreset(
        vocabulary=1024, width=1024, layers=24, heads=16, kv_heads=16, feedforward=4.0,
        context=1024, codes=12, code_vocabulary=1024,
    ),
    joint=128,
)  # fmt: skip

TINY_PAPER = replace(
    TINY,
    name="tiny-paper",
    autoencoder=PAPER_TINY,
    velocity=replace(TINY.velocity, dim=16, chunk_frames=20, norm="post", conditions=("tokens",)),
    semantic=replace(TINY.semantic, hop_samples=192),
)

PRESETS = {preset.name: preset for preset in (TINY, LIVE, PAPER, TINY_PAPER)}
