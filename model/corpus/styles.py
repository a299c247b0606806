"""All styles by name, in the order that the corpus deals them out."""

from __future__ import annotations

from model.corpus.acoustic import FOLK, FUNK, JAZZ, LOFI
from model.corpus.electronic import AMBIENT, CHIPTUNE, DRUM_AND_BASS, HOUSE
from model.corpus.style import Style

STYLES: dict[str, Style] = {
    style.name: style for style in (HOUSE, AMBIENT, JAZZ, FUNK, FOLK, DRUM_AND_BASS, CHIPTUNE, LOFI)
}
