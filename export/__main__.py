"""`python -m export`: from training runs to a bundle that the engine plays."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from engine.errors import PerpetuoError, UsageError
from engine.spec import LadderSpec
from export.pack import Label, Networks, pack, training_figures

OWN_CORPUS = (
    "Music that the project made itself: a procedural composer in many styles "
    "(`model.corpus`), rendered by FluidSynth with the FluidR3 GM soundfont (MIT licence)."
)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    p = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    p.add_argument("--autoencoder", type=Path, required=True, help="run folder of its training")
    p.add_argument("--velocity", type=Path, required=True, help="run folder of its training")
    p.add_argument("--out", type=Path, required=True, help="bundle to write; one is replaced")
    p.add_argument("--name", default="live")
    p.add_argument("--version", default="0.1.0", help="version of the bundle")
    p.add_argument("--steps", type=int, default=10, help="passes a chunk")
    p.add_argument("--temperature", type=float, default=1.0, help="noise scale, by measurement")
    p.add_argument("--trained-on", default=OWN_CORPUS, help="for the manifest and the model card")
    p.add_argument("--note", type=Path, help="markdown to append to the model card")
    p.add_argument("--cpu-only", action="store_true", help="leave the accelerator form out")
    return p


def load(autoencoder: Path, velocity: Path) -> Networks:
    """The averaged networks of two finished (or running) runs; UsageError if there is none."""
    from model.train_autoencoder import load_autoencoder
    from model.train_velocity import load_velocity

    for run in (autoencoder, velocity):
        if not (run / "checkpoint.pt").exists():
            raise UsageError(f"{run} holds no checkpoint.pt: name the run folder of a training")
    try:
        network, _ = load_autoencoder(autoencoder)
        velocity_network, _, context = load_velocity(velocity)
    except (RuntimeError, KeyError) as error:
        raise UsageError(
            f"the checkpoints do not fit the networks of this version ({error!s:.200}): "
            "export them with the version that trained them"
        ) from None
    return Networks(network, velocity_network, context)


def fallback_steps(steps: int) -> tuple[int, ...]:
    """Fewer steps to fall back on when time is short: about 3/5, 2/5 and 1/5."""
    fewer = {max(1, round(steps * part)) for part in (0.6, 0.4, 0.2)} - {steps}
    return tuple(sorted(fewer, reverse=True))


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit code is that of the error."""
    args = parser().parse_args(argv)
    try:
        label = Label(
            name=args.name, version=args.version, trained_on=args.trained_on,
            note=args.note.read_text() if args.note else "",
            ladder=LadderSpec(args.steps, 1, fallback_steps(args.steps)),
            temperature=args.temperature,
        )  # fmt: skip
        measured = {
            **training_figures(args.autoencoder, "autoencoder"),
            **training_figures(args.velocity, "velocity"),
        }
        networks = load(args.autoencoder, args.velocity)
        pack(networks, args.out, label, accelerator=not args.cpu_only, measured=measured)
    except PerpetuoError as error:
        print(f"export: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"export: {error.filename}: {error.strerror}", file=sys.stderr)
        return UsageError.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
