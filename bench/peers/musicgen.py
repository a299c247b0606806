"""MusicGen-small of transformers: text encoder, language model and codec in one call."""

from __future__ import annotations

from typing import Any

import torch
from transformers import (
    EncodecConfig,
    GenerationConfig,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    T5Config,
)

from bench import machine
from bench.peers import sizes
from bench.peers.stopwatch import MUSIC, Measured, Task, repeat
from bench.peers.torches import millions, settled

PROMPT_TOKENS = 12
WARM_S = 0.2


def build(
    text: sizes.Sizes = sizes.T5_BASE,
    decoder: sizes.Sizes = sizes.MUSICGEN_SMALL_DECODER,
    codec: sizes.Sizes = sizes.ENCODEC_32KHZ,
) -> MusicgenForConditionalGeneration:
    """The model of these sizes, its weights at random."""
    config = MusicgenConfig(
        text_encoder=T5Config(**text).to_dict(),
        audio_encoder=EncodecConfig(**codec).to_dict(),
        decoder=MusicgenDecoderConfig(**decoder).to_dict(),
    )
    return MusicgenForConditionalGeneration(config)


class Player:
    """One prompt, sampled with guidance as published."""

    def __init__(self, model: MusicgenForConditionalGeneration) -> None:
        self.model = model
        config: Any = model.config
        self.rate_hz = int(config.audio_encoder.sampling_rate)
        self._books = int(config.decoder.num_codebooks)
        self._prompt = torch.randint(2, int(config.text_encoder.vocab_size), (1, PROMPT_TOKENS))
        start = int(config.decoder.pad_token_id)
        model.generation_config = GenerationConfig(
            do_sample=True, guidance_scale=sizes.MUSICGEN_GUIDANCE, use_cache=True,
            decoder_start_token_id=start, bos_token_id=start, pad_token_id=start,
        )  # fmt: skip

    def play(self, seconds: float) -> float:
        """Generate; how many seconds of audio came out. The books' delay costs as many steps."""
        steps = max(1, round(seconds * sizes.MUSICGEN_FRAMES_HZ)) + self._books - 1
        audio = self.model.generate(
            inputs=self._prompt,
            attention_mask=torch.ones_like(self._prompt),
            max_new_tokens=steps,
        )
        return float(audio.shape[-1] / self.rate_hz)


def measure(task: Task) -> list[Measured]:
    """Nothing sounds before all of it is there, and the prompt holds for all of it."""
    player = Player(settled(build()))
    return [measured(player, task, machine.memory_mb())]


@torch.inference_mode()
def measured(player: Player, task: Task, loaded_mb: float) -> Measured:
    """The row of a player."""
    player.play(WARM_S)
    made_s: list[float] = []
    costs_s = repeat(
        lambda: made_s.append(player.play(task.seconds)), task.patience_s, most=5, warm=0
    )
    return Measured(
        name="musicgen-small", kind=MUSIC,
        what=f"transformers, guidance {sizes.MUSICGEN_GUIDANCE:g}, {task.seconds:g} s a call",
        rate_hz=player.rate_hz, million_parameters=millions(player.model), threads=task.threads,
        unit_s=made_s[0], unit_costs_s=costs_s, first_audio_s=costs_s,
        real_time_factors=[cost / made for cost, made in zip(costs_s, made_s, strict=True)],
        steered_units=1, loaded_mb=loaded_mb,
    )  # fmt: skip
