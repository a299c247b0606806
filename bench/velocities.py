"""`python -m bench.velocities RUN …`: velocity networks of `model.train_velocity`, side by side.

Each goes on behind the same held-out pieces, told the tokens and the briefs with which these pieces
really go on: what differs is what a network makes of them, whatever its context. The pieces
themselves, as the autoencoder copies them, and other held-out songs are the anchors. Checkpoints of
one run, each in a folder with its log as far as it went, are drawn against the minutes they took.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench import machine, plots
from bench.command import answered
from bench.continuity import Signature, kept
from bench.features import embed_all
from bench.frechet import LEAST_SONGS, distances
from bench.markdown import Row, table
from bench.report import plain, publish
from bench.spectra import Array
from engine.errors import UsageError
from model.briefs import load_briefs
from model.corpus.dataset import Songs
from model.excerpts import Autoencoder
from model.material import Latents, Material, Windows
from model.sampling import continued
from model.tokenise import Semantics
from model.train_autoencoder import load_autoencoder
from model.train_velocity import load_velocity
from model.training import cores, last_figures
from model.velocity import VelocityNetwork

BEFORE_S, AFTER_S = 6.0, 10.0
AT_ONCE = 8
"""Pieces that go on together."""
PIECES = "the pieces themselves"
HEAD = ("network", "context", "training steps", "minutes", "Fréchet distance", "right notes",
        "correlation of chroma", "right tempo", "seconds a second")  # fmt: skip
DRAWN = {"distance": "Fréchet distance", "notes": "right notes",
         "chroma": "correlation of chroma", "tempo": "right tempo"}  # fmt: skip


def pieces_of(
    data: Material, split: str, count: int, chunks: int, seed: int
) -> tuple[Windows, Tensor]:
    """`count` pieces of so many chunks, and as many of other songs, latents alone.

    One from a song, from its middle. UsageError where there are not as many songs.
    """
    p, songs = data.preset, data.latents.songs[split]
    frames = chunks * p.chunk_frames
    long = sorted(name for name, song in songs.items() if len(song) >= frames)
    if len(long) < 2 * count:
        raise UsageError(f"{len(long)} songs are long enough: --songs {len(long) // 2} at most")
    rng = np.random.default_rng(seed)
    picked = rng.permutation(long)[: 2 * count]
    starts = [(len(songs[name]) - frames) // 2 // p.token_frames for name in picked]
    rows = [data.stretch(split, name, start, chunks, rng)
            for name, start in zip(picked[:count], starts, strict=False)]  # fmt: skip
    latents, tokens, brief = (torch.stack(part) for part in zip(*rows, strict=True))
    places = [(name, start * p.token_frames)
              for name, start in zip(picked[count:], starts[count:], strict=True)]  # fmt: skip
    return Windows(latents, tokens, brief), data.latents.cut(split, places, frames)


@torch.no_grad()
def sound(autoencoder: Autoencoder, latents: Tensor) -> list[Array]:
    """latents [n, frames, dim] -> n times float64 [samples, channels]."""
    parts = [autoencoder.sound(part) for part in latents.split(AT_ONCE)]
    return [clip.numpy().T.astype(np.float64) for clip in torch.cat(parts)]


def went_on(
    network: VelocityNetwork, kind: str, windows: Windows, before: int, passes: int
) -> tuple[Tensor, float]:
    """What a network makes of the pieces, [n, frames, dim], and how many seconds that took."""
    behind = windows.latents.shape[1] - before
    began_s, parts = perf_counter(), []
    for part in windows.split(AT_ONCE):
        assert part.tokens is not None and part.brief is not None
        context, tokens = part.latents[:, :before].flatten(1, 2), part.tokens.flatten(1, 2)
        parts.append(continued(network, context, behind, passes, tokens, part.brief, kind))
    return torch.cat(parts), perf_counter() - began_s


def compared(
    pieces: Sequence[Array], others: Sequence[Array], sides: dict[str, list[Array]], rate_hz: int
) -> dict[str, dict[str, float]]:
    """Of each side: its distance to other songs, and how far it plays what the pieces play.

    Notes and tempo are right where they are those of the piece.
    """
    found = distances(embed_all(others, rate_hz),
                      {name: embed_all(side, rate_hz) for name, side in sides.items()})  # fmt: skip
    truth = [Signature.of(piece, rate_hz) for piece in pieces]
    result: dict[str, dict[str, float]] = {}
    for name, side in sides.items():
        each = [kept(true, Signature.of(one, rate_hz))
                for true, one in zip(truth, side, strict=True)]  # fmt: skip
        result[name] = {
            "distance": found[name],
            "notes": float(np.mean([one.key_same for one in each])),
            "chroma": float(np.mean([one.chroma_correlation for one in each])),
            "tempo": float(np.mean([one.tempo_same for one in each])),
        }
    return result


def page(report: dict[str, Any]) -> str:
    """The report in Markdown."""
    rows: list[Row] = []
    for name, found in report["sides"].items():
        run = report["runs"].get(name, {})
        took = run.get("took_s")
        rows.append((
            name, run.get("context", "-"), str(run.get("steps", "-")), run.get("minutes"),
            found["distance"],
            found["notes"], found["chroma"], found["tempo"],
            None if took is None else took / report["seconds"],
        ))  # fmt: skip
    quotable = "" if report["songs"] >= LEAST_SONGS else " **Too few songs to quote.**"
    return "\n".join([
        f"# Velocity networks beside each other, revision {report['revision']}",
        "",
        f"{report['songs']} pieces ({report['split']}), {BEFORE_S:g} s of each "
        f"and {AFTER_S:g} s that go on, "
        f"{report['passes']} passes a chunk, in torch.{quotable}",
        "", table(HEAD, rows), "",
    ])  # fmt: skip


def parser() -> ArgumentParser:
    """The options."""
    shaped = ArgumentParser(prog="python -m bench.velocities", description=__doc__)
    shaped.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="of train_velocity")
    shaped.add_argument("--data", type=Path, required=True, help="prepared folder (model.corpus)")
    shaped.add_argument("--autoencoder", type=Path, required=True, help="its run folder")
    shaped.add_argument("--features", type=Path, required=True, help="store (model.tokenise)")
    shaped.add_argument("--mulan", type=Path, required=True, help="its run folder")
    shaped.add_argument("--corpus", type=Path, help="the corpus's folder, for its truth")
    shaped.add_argument("--split", choices=("valid", "train"), default="valid")
    shaped.add_argument("--songs", type=int, default=24)
    shaped.add_argument("--passes", type=int, default=10, help="of a chunk")
    shaped.add_argument("--threads", type=int, default=1)
    shaped.add_argument("--seed", type=int, default=0)
    shaped.add_argument("--out", type=Path, default=Path("runs/velocities"))
    return shaped


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report; 0, or the error's code."""
    return answered("velocities", lambda: _report(parser().parse_args(argv)))


def _report(options: Namespace) -> int:
    autoencoder, _ = load_autoencoder(options.autoencoder)
    store = Semantics(options.features)
    networks = {folder: load_velocity(folder) for folder in options.runs}
    network, _, _ = networks[options.runs[0]]
    latents = Latents(Songs(options.data), autoencoder, options.runs[0] / "latents.npz")
    data = Material(
        latents, network.preset, store, load_briefs(store, options.mulan, options.corpus)
    )
    chunk_s = network.preset.chunk_frames / autoencoder.preset.latent_rate_hz
    before, behind = round(BEFORE_S / chunk_s), round(AFTER_S / chunk_s)
    with cores(options.threads, options.seed):
        windows, other = pieces_of(
            data, options.split, options.songs, before + behind, options.seed
        )
        made, runs = {}, {}
        for folder, (each, _, kind) in networks.items():
            torch.manual_seed(options.seed)  # the same noise for all
            made[folder.name], took_s = went_on(each, kind, windows, before, options.passes)
            last = last_figures(folder)
            runs[folder.name] = {"context": kind, "steps": last["step"],
                                 "minutes": last["minutes"], "took_s": took_s}  # fmt: skip
        report = {
            "revision": machine.revision(), "machine": machine.describe(), "runs": runs,
            "split": options.split, "songs": options.songs, "passes": options.passes,
            "seconds": options.songs * behind * chunk_s,
            "sides": _heard(autoencoder, windows, other, made, before),
        }  # fmt: skip
    publish(options.out, "velocities", plain(report), page(report))
    draw(options.out / "velocities.png", report)
    return 0


def draw(path: Path, report: dict[str, Any]) -> None:
    """What each run made against the minutes of its training, beside the pieces themselves."""
    runs, sides = report["runs"], report["sides"]
    plots.against_minutes(
        path, [run["minutes"] for run in runs.values()],
        {title: ([sides[name][key] for name in runs], sides[PIECES][key])
         for key, title in DRAWN.items()},
    )  # fmt: skip


def _heard(
    autoencoder: Autoencoder, windows: Windows, other: Tensor, made: dict[str, Tensor], before: int
) -> dict[str, dict[str, float]]:
    """All that goes on is decoded behind the same head, and the head is cut off."""
    rate_hz = autoencoder.preset.sample_rate_hz
    whole = windows.latents.flatten(1, 2)
    head = before * windows.latents.shape[2]
    cut = head * autoencoder.preset.frame_samples

    def tails(latents: Tensor) -> list[Array]:
        return [clip[cut:] for clip in sound(autoencoder, latents)]

    sides = {PIECES: tails(whole)}
    sides |= {name: tails(torch.cat([whole[:, :head], z], 1)) for name, z in made.items()}
    return compared(sides[PIECES], tails(other), sides, rate_hz)


if __name__ == "__main__":
    sys.exit(main())
