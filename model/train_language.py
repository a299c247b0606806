"""Train the semantic language model on the tokens of the corpus.

`python -m model.train_language --features STORE --mulan RUN --out RUN [--corpus FOLDER]`

Some sequences are two pieces of music, one after the other, and from the second on other codes
are in force: that is what a prompt that changes while the music plays looks like. Resumable.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.briefs import Briefs, load_briefs
from model.language import LanguageModel, load_language
from model.presets import PRESETS
from model.tokenise import Semantics
from model.training import Average, Budget, Run, clip_and_step, cores

SPLICED = 0.35
"""Part of the sequences that change to another song on the way."""
STARTED = 0.15
"""Part of the sequences that begin with the start token."""
Batch = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one song: tokens [n + 1], the brief of each [n + 1, Bf], codes [12]."""

    tokens: npt.NDArray[np.int16]
    brief: npt.NDArray[np.float32]
    codes: Tensor


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    p = argparse.ArgumentParser(prog="model.train_language", description=__doc__)
    p.add_argument("--features", type=Path, required=True, help="store (model.tokenise)")
    p.add_argument("--mulan", type=Path, required=True, help="its run folder")
    p.add_argument("--corpus", type=Path, help="the corpus's folder, for its truth")
    p.add_argument("--out", type=Path, required=True, help="run folder, resumed if it exists")
    p.add_argument("--init", type=Path, help="run folder whose weights to start from")
    p.add_argument("--preset", choices=sorted(PRESETS), default="live")
    p.add_argument("--steps", type=int, default=100_000)
    p.add_argument("--minutes", type=float, default=45.0)
    p.add_argument("--batch", type=int, default=12)
    p.add_argument("--tokens", type=int, help="length of a sequence; default: the context")
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--dropout", type=float, default=0.1)
    p.add_argument("--validate-every", type=int, default=100)
    p.add_argument("--precision", choices=["bf16", "fp32"], default="bf16")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=1)
    return p


class Sequences:
    """Random stretches of tokens, with what is asked of them."""

    def __init__(self, store: Semantics, briefs: Briefs, tokens: int) -> None:
        self.store, self.briefs, self.tokens = store, briefs, tokens
        self.names: dict[str, list[str]] = {"train": [], "valid": []}
        for name in store.names:
            if len(store.tokens[name]) > tokens:
                self.names[store.split[name]].append(name)
        if not self.names["train"] or not self.names["valid"]:
            raise SystemExit(f"too few songs last {tokens} tokens: use longer recordings")

    def batch(self, split: str, count: int, rng: np.random.Generator) -> Batch:
        """tokens int64 [count, n + 1], brief [count, n, Bf], codes [count, 2, 12], sources bool
        [count, n, 2]: a sequence, what is asked of each next token, which codes are in force.
        """
        rows = [self.sequence(split, rng) for _ in range(count)]
        tokens, brief, codes, sources = (torch.stack(part) for part in zip(*rows, strict=True))
        return tokens, brief, codes, sources

    def sequence(self, split: str, rng: np.random.Generator) -> Batch:
        """One row of a batch: a piece, and from token `cut` on perhaps another one."""
        n = self.tokens
        cut = int(rng.integers(n // 8, n)) if rng.random() < SPLICED else n + 1
        first, second = self.piece(split, rng), self.piece(split, rng)
        late = np.arange(n + 1) >= cut
        at = np.arange(n + 1) - np.where(late, cut, 0)
        tokens = np.where(late, second.tokens[at], first.tokens[at]).astype(np.int64)
        brief = np.where(late[:, None], second.brief[at], first.brief[at])
        if rng.random() < STARTED:
            tokens = np.concatenate([[self.store.vocabulary], tokens[:-1]])
            brief, late = brief[:-1], late[:-1]
        else:  # what stands beside a token is asked of the next one
            brief, late = brief[1:], late[1:]
        sources = torch.from_numpy(np.stack([~late, late], axis=1))
        codes = torch.stack([first.codes, second.codes])
        return torch.from_numpy(tokens), torch.from_numpy(brief), codes, sources

    def piece(self, split: str, rng: np.random.Generator) -> Piece:
        """A random stretch of a random song."""
        name = self.names[split][int(rng.integers(len(self.names[split])))]
        tokens = self.store.tokens[name]
        start = int(rng.integers(len(tokens) - self.tokens))
        codes, place = self.briefs.prompt(name, start, rng)
        controls = self.briefs.controls(name, start, self.tokens + 1, rng)
        prompt = np.broadcast_to(place.numpy(), (len(controls), len(place)))
        return Piece(
            tokens[start : start + self.tokens + 1], np.concatenate([prompt, controls], 1), codes
        )


def split_parameters(model: LanguageModel) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The matrices of the layers, whose updates Muon makes orthogonal, and everything else."""
    named = list(model.named_parameters())
    trained = [(name, p) for name, p in named if p.requires_grad]
    matrices = [p for name, p in trained if name.startswith("layers.") and p.dim() == 2]
    kept = {id(p) for p in matrices}
    return matrices, [p for _, p in trained if id(p) not in kept]


def loss_of(model: LanguageModel, batch: Batch) -> Tensor:
    """Cross entropy of every next token, in nats."""
    tokens, brief, codes, sources = batch
    logits = model.whole_pass(tokens[:, :-1], brief, codes, sources)
    return F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())


@torch.no_grad()
def validate(model: LanguageModel, batches: list[Batch]) -> float:
    """The loss on held-out sequences."""
    return sum(float(loss_of(model, batch)) for batch in batches) / len(batches)


def train(model: LanguageModel, data: Sequences, run: Run, rng: np.random.Generator,
          args: argparse.Namespace) -> None:  # fmt: skip
    """Run the budget down."""
    average = Average(model, 0.998)
    matrices, rest = split_parameters(model)
    muon = torch.optim.Muon(matrices, 2 * args.lr, weight_decay=0.02,
                            adjust_lr_fn="match_rms_adamw")  # fmt: skip
    adam = torch.optim.AdamW(rest, args.lr, betas=(0.9, 0.98), weight_decay=0.0)
    parts = {"network": model, "average": average.network, "muon": muon, "adam": adam}
    run.load(parts)
    average.updates = run.step
    fixed = np.random.default_rng(0)
    held_out = [data.batch("valid", 8, fixed) for _ in range(4)]
    smooth = math.nan
    for bar in run.steps([muon, adam]):
        with torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16"):
            loss = loss_of(model, data.batch("train", args.batch, rng))
        loss.backward()  # type: ignore[no-untyped-call]
        if clip_and_step(muon, model, 1.0) < math.inf:
            adam.step()
        adam.zero_grad(set_to_none=True)
        average.update(model)
        smooth = loss.item() if math.isnan(smooth) else smooth + 0.02 * (loss.item() - smooth)
        if run.step % args.validate_every == args.validate_every - 1:
            valid = validate(average.network, held_out)
            run.log(train_loss=smooth, valid_loss=valid)
            bar.set_postfix_str(f"loss {smooth:.3f}, held-out {valid:.3f}")
        if run.due():
            run.save(parts, preset=args.preset)
    run.log(train_loss=smooth, valid_loss=validate(average.network, held_out))
    run.save(parts, preset=args.preset)
    run.plot(["train_loss", "valid_loss"])


def main(argv: list[str] | None = None) -> int:
    """Read the store, train."""
    args = parser().parse_args(argv)
    preset = PRESETS[args.preset]
    run = Run(args.out, Budget(args.steps, args.minutes, warmup=50))
    with cores(args.threads, args.seed) as rng:
        store = Semantics(args.features)
        briefs = load_briefs(store, args.mulan, args.corpus)
        tokens = args.tokens or preset.language.context
        data = Sequences(store, briefs, tokens)
        model = LanguageModel(preset.language, briefs.size, args.dropout)
        model.count(torch.from_numpy(store.tokens[name].astype(np.int64))
                    for name in data.names["train"])  # fmt: skip
        if args.init:
            model.load_state_dict(load_language(args.init)[0].state_dict())
        train(model, data, run, rng, args)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
