"""The model card says what the manifest says."""

from __future__ import annotations

from tiny_export import packed


def test_the_card_of_a_bundle() -> None:
    _, bundle = packed()
    card = bundle.file("MODEL_CARD.md").read_text()
    for part in (
        "# tiny 0.1.0", "8000 Hz", "50 Hz x 8", "cached, 6 chunks", "nothing at all",
        "Apache-2.0", "| training.velocity.loss | 1 |", "| parity.decoder.ort_torch |",
    ):  # fmt: skip
        assert part in card
    assert card.endswith("\nSounds of nothing.\n")
