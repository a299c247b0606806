"""Train the semantic language model on the tokens of the corpus.

`python -m model.train_language --features STORE --mulan RUN --out RUN [--corpus FOLDER]`

Some sequences are several pieces of music, one after the other, and from each on other codes are
in force: that is what a prompt that changes while the music plays looks like. Others go on in
another key. The first tokens behind such a cut weigh more. Half of the sequences stray now and
then, to a token that might have followed, and must find back: what a model writes for itself
strays, and one that only ever read true music goes along. Resumable.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.briefs import Briefs, load_briefs
from model.corpus.variants import song_of
from model.evidence import count_evidence
from model.language import LanguageModel, load_language
from model.presets import PRESETS
from model.tokenise import Semantics
from model.training import Average, Budget, Run, clip_and_step, cores

CUTS = (0.45, 0.35, 0.2)
"""Part of the sequences that go over to something else so many times on the way."""
MOVED = 0.3
"""Of the cuts: as many go on with the same song in another key."""
STARTED = 0.3
"""Part of the sequences that begin with the start token."""
FRESH, FRESH_WEIGHT = 6, 6.0
"""So many tokens behind a cut or a start weigh so much: it is there that a prompt decides."""

STRAYING, STRAYED = 0.5, 0.2
"""Part of the sequences that stray, and of their runs of one token that do."""

Batch = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one song from token `start` on: tokens [n], brief [n, Bf], clock [n, K] and
    codes [12].
    """

    name: str
    start: int
    tokens: npt.NDArray[np.int16]
    brief: npt.NDArray[np.float32]
    clock: npt.NDArray[np.float32]
    codes: Tensor


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    p = argparse.ArgumentParser(prog="model.train_language", description=__doc__)
    p.add_argument("--features", type=Path, required=True, help="store (model.tokenise)")
    p.add_argument("--mulan", type=Path, required=True, help="its run folder")
    p.add_argument("--corpus", type=Path, help="the corpus's folder, for its truth")
    p.add_argument("--out", type=Path, required=True, help="run folder, resumed if it exists")
    p.add_argument("--init", type=Path, help="run folder whose weights to start from")
    p.add_argument("--teacher", type=Path, help="run folder of a model to learn from, not songs")
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

    def __init__(
        self, store: Semantics, briefs: Briefs, tokens: int, follow: npt.NDArray[np.float32]
    ) -> None:
        """`follow` [V + 1, V]: log probabilities of what follows a token, to stray by."""
        self.store, self.briefs, self.tokens = store, briefs, tokens
        self.follow = np.exp(follow.astype(np.float64))
        self.names: dict[str, list[str]] = {"train": [], "valid": []}
        for name in store.names:
            if len(store.tokens[name]) > tokens:
                self.names[store.split[name]].append(name)
        self.keys: dict[str, list[str]] = {}
        for name in [*self.names["train"], *self.names["valid"]]:
            self.keys.setdefault(song_of(name)[0], []).append(name)
        if not self.names["train"] or not self.names["valid"]:
            raise SystemExit(f"too few songs last {tokens} tokens: use longer recordings")

    def batch(self, split: str, count: int, rng: np.random.Generator) -> Batch:
        """read int64 [count, n], next int64 [count, n], brief [count, n, Bf], clock [count, n, K],
        codes [count, 3, 12], sources bool [count, n, 3], weights [count, n]: a sequence, what
        follows each of its tokens and what is asked of that, which codes are in force, how much it
        counts. Only what is trained on strays.
        """
        rows = [self.sequence(split, rng) for _ in range(count)]
        read, after, brief, clock, codes, sources, weights = map(
            torch.stack, zip(*rows, strict=True)
        )
        return read, after, brief, clock, codes, sources, weights

    def sequence(self, split: str, rng: np.random.Generator) -> Batch:
        """One row of a batch: a piece, and from each cut on another one."""
        n = self.tokens
        borders = [0, *self._cuts(rng), n + 1]
        pieces = [self.piece(split, borders[1], rng)]
        for begin, end in pairwise(borders[1:]):
            pieces.append(self._other(split, pieces[-1], end - begin, rng))
        owner = np.repeat(np.arange(len(pieces)), np.diff(borders))
        tokens = np.concatenate([piece.tokens for piece in pieces]).astype(np.int64)
        begun = np.arange(n + 1) - np.array(borders)[owner] < FRESH
        kept = slice(1, None)  # what stands beside a token is asked of the next one
        if rng.random() < STARTED:
            tokens = np.concatenate([[self.store.vocabulary], tokens[:-1]])
            kept = slice(0, -1)
        else:
            begun[: borders[1]] = False
        codes = torch.stack([pieces[min(i, len(pieces) - 1)].codes for i in range(len(CUTS))])
        weights = np.where(begun, FRESH_WEIGHT, 1.0)[kept].astype(np.float32)
        read = tokens
        if split == "train" and rng.random() < STRAYING:
            read, off = strayed(tokens, self.follow, STRAYED, rng)
            weights[off[1:]] = 0.0
        return (
            torch.from_numpy(read[:-1]),
            torch.from_numpy(tokens[1:]),
            torch.from_numpy(np.concatenate([piece.brief for piece in pieces])[kept]),
            torch.from_numpy(np.concatenate([piece.clock for piece in pieces])[kept]),
            codes,
            torch.from_numpy(owner[kept, None] == np.arange(len(CUTS))),
            torch.from_numpy(weights),
        )

    def piece(self, split: str, count: int, rng: np.random.Generator, asked: bool = False) -> Piece:
        """A random stretch of a random song; with a prompt in any case if it is `asked` for."""
        name = self.names[split][int(rng.integers(len(self.names[split])))]
        start = int(rng.integers(len(self.store.tokens[name]) - self.tokens))
        codes, place = self.briefs.prompt(name, start, rng, asked)
        controls = self.briefs.controls(name, start, count, rng)
        return self._piece(name, start, controls, codes, place, rng)

    def _other(self, split: str, before: Piece, count: int, rng: np.random.Generator) -> Piece:
        """What may stand behind a piece: other music that a prompt names, or another key."""
        song, here = song_of(before.name)
        keys = [name for name in self.keys.get(song, []) if song_of(name)[1] != here]
        if not keys or rng.random() >= MOVED:
            return self.piece(split, count, rng, asked=True)
        name = keys[int(rng.integers(len(keys)))]
        start = before.start + len(before.tokens)
        controls = self.briefs.controls(name, start, count, rng, ("tonic", "scale"))
        place = torch.from_numpy(before.brief[0, : self.briefs.prompt_size])
        return self._piece(name, start, controls, before.codes, place, rng)

    def _piece(
        self, name: str, start: int, controls: npt.NDArray[np.float32], codes: Tensor,
        place: Tensor, rng: np.random.Generator,
    ) -> Piece:  # fmt: skip
        count = len(controls)
        prompt = np.broadcast_to(place.numpy(), (count, len(place)))
        return Piece(
            name, start, self.store.tokens[name][start : start + count],
            np.concatenate([prompt, controls], 1),
            self.briefs.clock(name, start, count, rng), codes,
        )  # fmt: skip

    def _cuts(self, rng: np.random.Generator) -> list[int]:
        """Where a sequence changes, in order, none too near the next."""
        shortest = max(self.tokens // 8, 1)
        count = int(rng.choice(len(CUTS), p=CUTS))
        slots = rng.choice(self.tokens // shortest - 1, count, replace=False)
        return sorted((int(slot) + 1) * shortest + int(rng.integers(shortest)) for slot in slots)


def strayed(
    tokens: npt.NDArray[np.int64], follow: npt.NDArray[np.float64], part: float,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:  # fmt: skip
    """tokens int64 [n], of which `part` of the runs of one token are another token for as long.

    With them, where a token is not to be learned, bool [n]: in a run that strays, all but the
    first. `follow` [V + 1, V]: how probably one token follows another.
    """
    read, off = tokens.copy(), np.zeros(len(tokens), bool)
    starts = np.flatnonzero(tokens[1:] != tokens[:-1]) + 1
    for start, end in pairwise([*starts, len(tokens)]):
        if rng.random() >= part:
            continue
        before = tokens[start - 1]
        chances = follow[before].copy()
        chances[before : before + 1] = 0.0  # it ends; none for the start token
        read[start:end] = rng.choice(len(chances), p=chances / chances.sum())
        off[start + 1 : end] = True
    return read, off


def split_parameters(model: LanguageModel) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The matrices of the layers, whose updates Muon makes orthogonal, and everything else."""
    named = list(model.named_parameters())
    trained = [(name, p) for name, p in named if p.requires_grad]
    matrices = [p for name, p in trained if name.startswith("layers.") and p.dim() == 2]
    kept = {id(p) for p in matrices}
    return matrices, [p for _, p in trained if id(p) not in kept]


def losses_of(
    model: LanguageModel, batch: Batch, teacher: LanguageModel | None = None
) -> tuple[Tensor, Tensor]:
    """Cross entropy in nats: the weighted sum to learn from, and the mean of those that go on and
    of those that are fresh [2].

    With a teacher what it expects is learned from, instead of what came; the means are as before.
    """
    read, after, brief, clock, codes, sources, weights = batch
    logits = model.whole_pass(read, brief, clock, codes, sources).float().flatten(0, 1)
    leaning = model.lean(brief).float().flatten(0, 1)
    weights, came = weights.flatten(), after.flatten()
    each = F.cross_entropy(logits, came, reduction="none")
    fresh = (weights > 1.0).float()
    kinds = torch.stack([(weights == 1.0).float(), fresh])
    means = (kinds * each.detach()).sum(1) / kinds.sum(1).clamp(min=1.0)
    if teacher is None:
        lean = F.cross_entropy(leaning, came, label_smoothing=0.01)
    else:
        with torch.no_grad():
            said = teacher.whole_pass(read, brief, clock, codes, sources).float().flatten(0, 1)
            leans = teacher.lean(brief).float().flatten(0, 1)
        each = F.cross_entropy(logits, said.softmax(-1), reduction="none")
        lean = F.cross_entropy(leaning, leans.softmax(-1))
    return (weights * each).sum() / weights.sum() + lean, means


@torch.no_grad()
def validate(model: LanguageModel, batches: list[Batch]) -> tuple[float, float]:
    """The losses of held-out tokens that go on, and that are fresh."""
    going, fresh = torch.stack([losses_of(model, batch)[1] for batch in batches]).mean(0).tolist()
    return going, fresh


def train(
    model: LanguageModel, data: Sequences, run: Run, rng: np.random.Generator,
    args: argparse.Namespace, teacher: LanguageModel | None,
) -> None:  # fmt: skip
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
            loss, means = losses_of(model, data.batch("train", args.batch, rng), teacher)
        loss.backward()  # type: ignore[no-untyped-call]
        if clip_and_step(muon, model, 1.0) < math.inf:
            adam.step()
        adam.zero_grad(set_to_none=True)
        average.update(model)
        now = means[0].item()
        smooth = now if math.isnan(smooth) else smooth + 0.02 * (now - smooth)
        if run.step % args.validate_every == args.validate_every - 1:
            valid, fresh = validate(average.network, held_out)
            run.log(train_loss=smooth, valid_loss=valid, fresh_loss=fresh)
            bar.set_postfix_str(f"loss {smooth:.3f}, held-out {valid:.3f}, fresh {fresh:.3f}")
        if run.due():
            run.save(parts, preset=args.preset)
    valid, fresh = validate(average.network, held_out)
    run.log(train_loss=smooth, valid_loss=valid, fresh_loss=fresh)
    run.save(parts, preset=args.preset)
    run.plot(["train_loss", "valid_loss", "fresh_loss"])


def main(argv: list[str] | None = None) -> int:
    """Read the store, train."""
    args = parser().parse_args(argv)
    preset = PRESETS[args.preset]
    run = Run(args.out, Budget(args.steps, args.minutes, warmup=50))
    with cores(args.threads, args.seed) as rng:
        store = Semantics(args.features)
        briefs = load_briefs(store, args.mulan, args.corpus)
        tokens = args.tokens or preset.language.context
        model = LanguageModel(preset.language, briefs.size, args.dropout)
        if args.init:
            begun = load_language(args.init)[0].pooled(preset.language.kv_heads)
            model.load_state_dict(begun.state_dict())
        else:
            model.count(torch.from_numpy(store.tokens[name].astype(np.int64))
                        for name in store.names if store.split[name] == "train")  # fmt: skip
        data = Sequences(store, briefs, tokens, model.follow.numpy())
        heard = count_evidence(store, args.corpus)
        if heard.any():  # else a start's counts remain
            model.heard.data.copy_(torch.from_numpy(heard))
        teacher = load_language(args.teacher)[0] if args.teacher else None
        train(model, data, run, rng, args, teacher)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
