"""The decoders of EnCodec and DAC, of transformers: codes to audio. Their encoders are let go."""

from __future__ import annotations

from typing import Any

import torch
from transformers import DacConfig, DacModel, EncodecConfig, EncodecModel

from bench import machine
from bench.peers import sizes
from bench.peers.stopwatch import Decoder, Measured, Task
from bench.peers.torches import millions, settled


def encodec(name: str, of: sizes.Sizes, books: int) -> Decoder:
    """EnCodec of these sizes, from `books` codes a frame."""
    model: Any = EncodecModel(EncodecConfig(**of))
    del model.encoder
    settled(model)

    @torch.inference_mode()
    def decode(frames: int) -> Any:
        codes = torch.randint(0, model.config.codebook_size, (1, 1, books, frames))
        return model.decode(codes, [None])

    return Decoder(
        name, f"transformers, {books} codes a frame", decode, model.config.sampling_rate,
        model.config.hop_length, millions(model.decoder),
    )  # fmt: skip


def dac(name: str, of: sizes.Sizes) -> Decoder:
    """DAC of these sizes, from all its codes."""
    model: Any = DacModel(DacConfig(**of))
    del model.encoder
    settled(model)
    books = model.config.n_codebooks

    @torch.inference_mode()
    def decode(frames: int) -> Any:
        codes = torch.randint(0, model.config.codebook_size, (1, books, frames))
        return model.decode(audio_codes=codes)

    return Decoder(
        name, f"transformers, {books} codes a frame", decode, model.config.sampling_rate,
        model.config.hop_length, millions(model.decoder),
    )  # fmt: skip


def measure_encodec_24khz(task: Task) -> list[Measured]:
    """EnCodec at 24 kHz and 6 kbit/s."""
    decoder = encodec("encodec-24khz", sizes.ENCODEC_24KHZ, sizes.ENCODEC_24KHZ_BOOKS)
    return [decoder.measured(task, machine.memory_mb())]


def measure_encodec_32khz(task: Task) -> list[Measured]:
    """EnCodec at 32 kHz, MusicGen's."""
    decoder = encodec("encodec-32khz", sizes.ENCODEC_32KHZ, sizes.ENCODEC_32KHZ_BOOKS)
    return [decoder.measured(task, machine.memory_mb())]


def measure_dac_44khz(task: Task) -> list[Measured]:
    """DAC at 44.1 kHz."""
    decoder = dac("dac-44khz", sizes.DAC_44KHZ)
    return [decoder.measured(task, machine.memory_mb())]
