"""``python -m model.corpus --out FOLDER``: compose and render a corpus."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from model.corpus.build import Plan, build
from model.corpus.synth import SynthError


def main(arguments: list[str] | None = None) -> int:
    """Build a corpus; exit status 0, or 2 with one line that names the cure."""
    parser = argparse.ArgumentParser(prog="python -m model.corpus", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--songs", type=int, default=260, help="how many (a minute each)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--scores", type=Path, help="folder with four-part chorales in JSON")
    parser.add_argument("--no-stems", action="store_true", help="keep the mixes only")
    parser.add_argument("--soundfont", help="General MIDI SoundFont, if not in the usual places")
    given = parser.parse_args(arguments)
    plan = Plan(
        given.out, given.songs, given.seed, given.scores, not given.no_stems, given.soundfont
    )
    try:
        made = build(plan, given.jobs)
    except (SynthError, ValueError) as error:
        print(f"corpus: {error}", file=sys.stderr)
        return 2
    print(f"{made} songs made, {plan.songs - made} were there, in {plan.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
