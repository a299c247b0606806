"""RAVE's decoder, of acids-rave, in an environment of its own: see docs/peers.md.

It runs as RAVE runs live: convolutions that keep their past, one latent frame (a buffer of 2,048
samples at 44.1 kHz) at a time.
"""

from __future__ import annotations

from typing import Any

import torch

from bench import machine
from bench.peers import sizes
from bench.peers.stopwatch import Decoder, Measured, Task


def build(config: str = sizes.RAVE_CONFIG, *bindings: str) -> Any:
    """RAVE of one of its own configurations, its weights at random; encoder and critic let go.

    ImportError names the cure.
    """
    try:
        import cached_conv
        import gin
        import rave
    except (ImportError, OSError) as error:  # OSError: torchaudio built for another torch
        raise ImportError(
            f"acids-rave ({error}); --rave-python names a Python that has it: docs/peers.md"
        ) from None

    cached_conv.use_cached_conv(True)
    gin.enter_interactive_mode()
    gin.parse_config_files_and_bindings([config], list(bindings))
    model = rave.RAVE(n_channels=1).eval().requires_grad_(False)
    del model.encoder, model.discriminator
    for part in model.decoder.modules():
        if hasattr(part, "weight_g"):
            torch.nn.utils.remove_weight_norm(part)
    return model


def measure(task: Task) -> list[Measured]:
    """Latents to audio."""
    model = build()

    @torch.inference_mode()
    def decode(frames: int) -> Any:
        return model.decode(torch.randn(1, model.latent_size, frames))

    decode(1)
    frame_samples = decode(1).shape[-1]
    count = sum(parameter.numel() for parameter in model.decoder.parameters())
    decoder = Decoder(
        "rave-v2", "acids-rave, streaming, one buffer at a time", decode, int(model.sr),
        frame_samples, count / 1e6, unit_frames=1,
    )  # fmt: skip
    return [decoder.measured(task, machine.memory_mb())]
