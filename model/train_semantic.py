"""Train what listens, then quantise it.

`python -m model.train_semantic --data DIR --out RUN [--corpus FOLDER]`

Self-supervised: hidden stretches are guessed, as the label that a random projection gives them
(BEST-RQ, arXiv 2202.01855), and every frame tells a sketch of its own spectrum. Where the corpus's
truth is at hand (`--corpus`), the quantised layer is asked for beat, chord, section, instruments
and style as well; for recordings without truth the rest is enough. Resumable.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.brief import FAMILIES
from model.clusters import centroids
from model.corpus.dataset import Entry, Songs
from model.corpus.labels import NO_CHORD, SIXTEENTHS, STYLE_NAMES, Labels, frame_labels
from model.corpus.variants import truth_beside
from model.losses import BANDS_PER_OCTAVE
from model.presets import PRESETS, SemanticPreset
from model.semantic import SemanticEncoder
from model.training import Average, Budget, Run, clip_and_step, cores, run_options, tensor

GUESSED, GUESS_DIM = 512, 16
HIDDEN_PART, HIDDEN_TOKENS = 0.4, 12
MEL_GROUPS = 8
CLASSES = {"sixteenth": SIXTEENTHS, "root": 12, "quality": 3, "energy": 4,
           "style": len(STYLE_NAMES)}  # fmt: skip
WEIGHTS = {"sixteenth": 1.0, "root": 1.0, "quality": 0.5, "energy": 0.3, "style": 0.5}
KMEANS_ROWS, KMEANS_TURNS = 150_000, 25


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    p = argparse.ArgumentParser(prog="model.train_semantic", description=__doc__)
    p.add_argument("--data", type=Path, required=True, help="prepared folder (model.corpus)")
    p.add_argument("--corpus", type=Path, help="the folder it was prepared from, for its truth")
    p.add_argument("--preset", choices=sorted(PRESETS), default="live")
    p.add_argument("--seconds", type=float, default=8.0, help="length of a window")
    run_options(p, minutes=30.0, batch=10, lr=1e-3, validate_every=200)
    return p


class Rows:
    """The corpus as rows of the front, with the truth of each where there is any."""

    def __init__(self, songs: Songs, encoder: SemanticEncoder, corpus: Path | None) -> None:
        from tqdm import tqdm

        self.rows: dict[str, list[Tensor]] = {"train": [], "valid": []}
        self.labels: dict[str, list[Labels | None]] = {"train": [], "valid": []}
        for song in tqdm(songs.songs, desc="spectra"):
            rows = front_rows(songs, song, encoder)
            truth = truth_beside(corpus, song.name)
            rate_hz = songs.sample_rate_hz / encoder.front.token_samples
            self.rows[song.split].append(rows)
            self.labels[song.split].append(truth and frame_labels(truth, len(rows), rate_hz))

    def windows(
        self, split: str, count: int, tokens: int, rng: np.random.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """[count, tokens, size], and the labels of those songs that have any (empty: none)."""
        songs = [i for i, rows in enumerate(self.rows[split]) if len(rows) >= tokens]
        if not songs:
            raise SystemExit(f"no {split} song lasts {tokens} tokens: use longer recordings")
        picks = rng.choice(songs, count)
        starts = [int(rng.integers(len(self.rows[split][i]) - tokens + 1)) for i in picks]
        places = list(zip(picks, starts, strict=True))
        rows = torch.stack([self.rows[split][i][s : s + tokens].float() for i, s in places])
        found = [(self.labels[split][i], s) for i, s in places]
        if any(labels is None for labels, _ in found):
            return rows, {}
        names = (*CLASSES, "families")
        return rows, {
            name: torch.stack([torch.from_numpy(la[name][s : s + tokens]) for la, s in found if la])
            for name in names
        }


@torch.no_grad()
def front_rows(songs: Songs, song: Entry, encoder: SemanticEncoder) -> Tensor:
    """float16 [tokens, size] of a whole song."""
    unit = encoder.front.token_samples
    audio = songs.window(song, 0, song.samples // unit * unit)
    return encoder.front(tensor(audio[None]))[0].half()


class Questions(nn.Module):
    """What is asked of the hidden layer in training; thrown away afterwards."""

    projection: Tensor
    codes: Tensor

    def __init__(self, preset: SemanticPreset, size: int, pitch_bands: int) -> None:
        super().__init__()
        self.preset, self.pitch_bands = preset, pitch_bands
        random = torch.Generator().manual_seed(1)
        self.register_buffer("projection", torch.randn(size, GUESS_DIM, generator=random))
        codes = torch.randn(GUESSED, GUESS_DIM, generator=random)
        self.register_buffer("codes", F.normalize(codes, dim=-1))
        hidden = preset.hidden
        self.guess = nn.Linear(hidden, GUESSED)
        self.sketch = nn.Linear(hidden, 12 + 2 * MEL_GROUPS)
        self.classes = nn.ModuleDict({name: nn.Linear(hidden, n) for name, n in CLASSES.items()})
        self.families = nn.Linear(hidden, len(FAMILIES))

    def guessed(self, rows: Tensor) -> Tensor:
        """The label of each row, int64 [B, n]: the nearest code to its random projection."""
        centred = rows - rows.mean((0, 1))
        return (F.normalize(centred @ self.projection, dim=-1) @ self.codes.T).argmax(-1)

    def sketch_of(self, rows: Tensor) -> Tensor:
        """[B, n, 12 + 16]: chroma, mel level and its rise, from the rows themselves."""
        batch, count, _ = rows.shape
        spectra = rows.reshape(batch, count, self.preset.spectra, -1)
        pitch, mel = spectra[..., : self.pitch_bands].mean(2), spectra[..., self.pitch_bands :]
        semitones = pitch[..., : self.pitch_bands // 2 * 2].unflatten(-1, (-1, 2)).amax(-1)
        octaves = semitones.shape[-1] // 12
        per_octave = BANDS_PER_OCTAVE // 2
        chroma = semitones[..., : octaves * per_octave].unflatten(-1, (octaves, -1)).amax(-2)
        chroma = chroma - chroma.mean(-1, keepdim=True)
        groups = mel[..., : mel.shape[-1] // MEL_GROUPS * MEL_GROUPS].unflatten(
            -1, (MEL_GROUPS, -1)
        )
        level = groups.mean(-1).flatten(1, 2)
        rise = (level - F.pad(level, (0, 0, 1, 0))[:, :-1]).clamp(min=0)
        rise = rise.unflatten(1, (count, -1)).amax(2)
        return torch.cat([2 * chroma, level.unflatten(1, (count, -1)).mean(2), 3 * rise], dim=-1)

    def losses(
        self, heard: Tensor, rows: Tensor, hide: Tensor, labels: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Every question's loss; heard [B, n, D], rows [B, n, size], hide bool [B, n]."""
        answers = self.guess(heard[hide])
        losses = {
            "guess": 0.3 * F.cross_entropy(answers, self.guessed(rows)[hide]),
            "sketch": 2.0 * (self.sketch(heard) - self.sketch_of(rows)).square().mean(),
        }
        if labels:
            sounding = self.families(heard)
            losses["families"] = 2.0 * F.binary_cross_entropy_with_logits(
                sounding, labels["families"])  # fmt: skip
            for name, weight in WEIGHTS.items():
                answers = self.classes[name](heard).flatten(0, 1)
                told = labels[name].flatten()
                losses[name] = weight * F.cross_entropy(answers, told, ignore_index=NO_CHORD)
        return losses


def hidden_stretches(batch: int, tokens: int) -> Tensor:
    """bool [batch, tokens]: stretches to be guessed, in the first half of the batch only."""
    begins = torch.rand(batch, tokens) < HIDDEN_PART / HIDDEN_TOKENS
    begins[(batch + 1) // 2 :] = False
    begins[0, tokens // 2] = True
    spread = F.max_pool1d(F.pad(begins.float(), (HIDDEN_TOKENS - 1, 0)), HIDDEN_TOKENS, 1)
    return spread > 0.5


@torch.no_grad()
def validate(
    encoder: SemanticEncoder, questions: Questions, held_out: tuple[Tensor, dict[str, Tensor]]
) -> dict[str, float]:
    """Loss on held-out windows, and how often each question is answered rightly."""
    rows, labels = held_out
    state = torch.get_rng_state()
    torch.manual_seed(0)
    hide = hidden_stretches(*rows.shape[:2])
    torch.set_rng_state(state)
    encoder.eval()
    heard = encoder.heard(rows, hide)
    losses = questions.losses(heard, rows, hide, labels)
    encoder.train()
    figures = {"valid_loss": float(torch.stack(list(losses.values())).sum())}
    for name in CLASSES if labels else ():
        told = labels[name][~hide]
        right = (questions.classes[name](heard[~hide]).argmax(-1) == told)[told >= 0]
        figures[f"{name}_right"] = float(right.float().mean())
    if labels:
        wrong = (questions.families(heard[~hide]) > 0) != (labels["families"][~hide] > 0.5)
        figures["families_right"] = 1 - float(wrong.float().mean())
    return figures


def train(encoder: SemanticEncoder, data: Rows, run: Run, rng: np.random.Generator,
          args: argparse.Namespace) -> Average[SemanticEncoder]:  # fmt: skip
    """Run the budget down."""
    questions = Questions(encoder.preset, encoder.front.size, encoder.front.pitch.shape[1])
    both = nn.ModuleList([encoder, questions])
    average = Average(encoder, 0.998)
    optimiser = torch.optim.AdamW(both.parameters(), args.lr, betas=(0.9, 0.98), weight_decay=0.01)
    parts = {"network": encoder, "questions": questions, "average": average.network,
             "optimiser": optimiser}  # fmt: skip
    run.load(parts)
    average.updates = run.step
    tokens = round(args.seconds * data_rate(encoder, args.preset))
    held_out = data.windows("valid", 24, tokens, np.random.default_rng(0))
    smooth = math.nan
    encoder.train()
    for bar in run.steps([optimiser]):
        rows, labels = data.windows("train", args.batch, tokens, rng)
        hide = hidden_stretches(*rows.shape[:2])
        with torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16"):
            heard = encoder.heard(rows, hide).float()
        loss = torch.stack(list(questions.losses(heard, rows, hide, labels).values())).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        clip_and_step(optimiser, both, 1.0)
        average.update(encoder)
        smooth = loss.item() if math.isnan(smooth) else smooth + 0.02 * (loss.item() - smooth)
        if run.step % args.validate_every == args.validate_every - 1:
            figures = validate(average.network, questions, held_out)
            run.log(train_loss=smooth, **figures)
            bar.set_postfix_str(f"loss {smooth:.3f}, held-out {figures['valid_loss']:.3f}")
        if run.due():
            run.save(parts, preset=args.preset)
    encoder.eval()
    average.network.eval()
    fill_centroids(average.network, data)
    run.log(train_loss=smooth, **validate(average.network, questions, held_out))
    average.network.eval()
    run.save(parts, preset=args.preset)
    run.plot(["train_loss", "valid_loss"])
    return average


def data_rate(encoder: SemanticEncoder, preset: str) -> float:
    """Tokens a second."""
    return PRESETS[preset].autoencoder.sample_rate_hz / encoder.front.token_samples


@torch.no_grad()
def fill_centroids(encoder: SemanticEncoder, data: Rows) -> None:
    """k-means over the hidden layer of the training songs."""
    songs = data.rows["train"]
    heard = torch.cat([encoder.heard(rows[None].float())[0] for rows in songs])
    some = heard[torch.randperm(len(heard))[:KMEANS_ROWS]]
    encoder.centroids.copy_(centroids(some, encoder.preset.vocabulary, KMEANS_TURNS))


def main(argv: list[str] | None = None) -> int:
    """Listen to the corpus, train, quantise."""
    args = parser().parse_args(argv)
    preset = PRESETS[args.preset]
    run = Run(args.out, Budget(args.steps, args.minutes, warmup=100))
    with cores(args.threads, args.seed) as rng:
        encoder = SemanticEncoder(preset.semantic, preset.autoencoder)
        data = Rows(Songs(args.data), encoder, args.corpus)
        train(encoder, data, run, rng, args)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
