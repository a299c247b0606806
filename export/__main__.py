"""`python -m export`: from training runs to a bundle that the engine plays."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from engine.errors import UsageError
from engine.spec import FADE_S, PULL, LadderSpec
from export.command import answered
from export.networks import Networks
from export.pack import BEAT_PULL, KEY_PULL, PUSH, Label, pack, training_figures
from export.prompting import Prompting

PAIR = ("autoencoder", "velocity")
PROMPTING = ("semantic", "language", "mulan")
"""Trained networks by the names of their options; the three of prompts go together."""
OWN_CORPUS = (
    "Music that the project made itself: a procedural composer in many styles "
    "(`model.corpus`), rendered by FluidSynth with the FluidR3 GM soundfont (MIT licence)."
)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    p = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    for name in PAIR:
        p.add_argument(f"--{name}", type=Path, required=True, help="run folder of its training")
    for name in PROMPTING:
        p.add_argument(f"--{name}", type=Path, help="the same, for a bundle that takes prompts")
    p.add_argument("--out", type=Path, required=True, help="bundle to write; one is replaced")
    p.add_argument("--name", default="live")
    p.add_argument("--version", default="0.1.0", help="version of the bundle")
    p.add_argument("--steps", type=int, default=10, help="passes a chunk")
    p.add_argument("--temperature", type=float, default=1.0, help="noise scale, by measurement")
    p.add_argument("--guidance", type=float, default=2.5, help="how much prompts count, 1 … 5")
    p.add_argument("--pull", type=float, default=PULL,
                   help="how much of it the choice of tokens takes")  # fmt: skip
    p.add_argument("--push", type=float, default=PUSH,
                   help="how much more right behind a change of it: 1 doubles it")  # fmt: skip
    p.add_argument("--fade", type=float, default=FADE_S, metavar="SECONDS",
                   help="in which that falls to 1/e")  # fmt: skip
    p.add_argument("--key-pull", type=float, default=KEY_PULL,
                   help="how hard tokens that do not fit the key are held back")  # fmt: skip
    p.add_argument("--beat-pull", type=float, default=BEAT_PULL,
                   help="how hard tokens that do not fit the bar are held back")  # fmt: skip
    p.add_argument("--trained-on", default=OWN_CORPUS, help="for the manifest and the model card")
    p.add_argument("--note", type=Path, help="markdown to append to the model card")
    p.add_argument("--compute", choices=["fp32", "int8"], default="fp32",
                   help="of what weighs most on a CPU; int8 is faster and coarser")  # fmt: skip
    p.add_argument("--chunks", type=int, nargs="+", default=[], metavar="FRAMES",
                   help="other sizes of chunk that can be played")  # fmt: skip
    p.add_argument("--cpu-only", action="store_true", help="leave the accelerator form out")
    return p


def load(args: argparse.Namespace) -> Networks:
    """The averaged networks of finished (or running) runs; UsageError if there is none."""
    from model.autoencoder import LiveAutoencoder
    from model.train_autoencoder import load_autoencoder
    from model.train_velocity import load_velocity

    runs = {name: getattr(args, name) for name in (*PAIR, *PROMPTING)}
    asked = [name for name in PROMPTING if runs[name] is not None]
    if asked and len(asked) < len(PROMPTING):
        raise UsageError(f"prompts need all of {_options(PROMPTING)}, got {_options(asked)} only")
    for run in runs.values():
        if run is not None and not (run / "checkpoint.pt").exists():
            raise UsageError(f"{run} holds no checkpoint.pt: name the run folder of a training")
    try:
        network, preset = load_autoencoder(args.autoencoder)
        velocity, _, context = load_velocity(args.velocity)
        prompting = load_prompting(args) if asked else None
    except (RuntimeError, KeyError, TypeError) as error:
        raise UsageError(
            f"the checkpoints do not fit the networks of this version ({error!s:.200}): "
            "export them with the version that trained them"
        ) from None
    if not isinstance(network, LiveAutoencoder):
        raise UsageError(
            f"{args.autoencoder} is of preset {preset.name}, whose decoder looks both ways and "
            "cannot stream: train and export one of the live form"
        )
    if "brief" in velocity.preset.conditions and prompting is None:
        raise UsageError(f"{args.velocity} is asked by prompts: name {_options(PROMPTING)} too")
    return Networks(network, velocity, context, prompting)


def load_prompting(args: argparse.Namespace) -> Prompting:
    """The averaged networks behind prompts."""
    from model.language import load_language
    from model.semantic import load_semantic
    from model.train_mulan import load_mulan, load_words

    semantic, _ = load_semantic(args.semantic)
    language, _ = load_language(args.language)
    try:
        mulan = load_mulan(args.mulan)
    except SystemExit as error:  # its quantiser is fitted when training ends
        raise UsageError(str(error)) from None
    return Prompting(semantic, language, mulan, tuple(load_words(args.mulan)))


def _options(names: Sequence[str]) -> str:
    return ", ".join(f"--{name}" for name in names)


def fallback_steps(steps: int) -> tuple[int, ...]:
    """Fewer steps to fall back on when time is short: about 3/5, 2/5 and 1/5."""
    fewer = {max(1, round(steps * part)) for part in (0.6, 0.4, 0.2)} - {steps}
    return tuple(sorted(fewer, reverse=True))


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit code is that of the error."""
    args = parser().parse_args(argv)

    def work() -> None:
        label = Label(
            name=args.name, version=args.version, trained_on=args.trained_on,
            note=args.note.read_text() if args.note else "",
            ladder=LadderSpec(args.steps, 1, fallback_steps(args.steps)),
            temperature=args.temperature, guidance=args.guidance,
            pull=args.pull, push=args.push, fade_s=args.fade,
            key_pull=args.key_pull, beat_pull=args.beat_pull,
        )  # fmt: skip
        measured: dict[str, float | str] = {}
        for name in (*PAIR, *PROMPTING):
            if getattr(args, name) is not None:
                measured |= training_figures(getattr(args, name), name)
        pack(
            load(args), args.out, label, accelerator=not args.cpu_only,
            int8=args.compute == "int8", sizes=args.chunks, measured=measured,
        )  # fmt: skip

    return answered("export", work)


if __name__ == "__main__":
    raise SystemExit(main())
