"""The model card says what the manifest says."""

from __future__ import annotations

from tiny_export import packed, packed_prompting


def test_the_card_of_a_bundle() -> None:
    _, bundle = packed()
    card = bundle.file("MODEL_CARD.md").read_text()
    for part in (
        "# tiny 0.1.0", "8000 Hz", "50 Hz x 8", "cached, 6 chunks", "nothing at all",
        "Apache-2.0", "| training.velocity.loss | 1 |", "| parity.decoder.ort_torch |",
    ):  # fmt: skip
        assert part in card
    assert card.endswith("\nSounds of nothing.\n")


def test_the_card_of_a_bundle_that_takes_prompts() -> None:
    _, bundle = packed_prompting()
    card = bundle.file("MODEL_CARD.md").read_text()
    for part in (
        "`language.onnx`", "25 a second", "vocabulary of 32", "7 of them", "64 dimensions",
        "12 codes", "looks back on 1.0 s", "semantic 0.02 M", "mulan 0.", "| int8.language |",
        "| parity.language.ort_whole |", "of `int8.tokens`, the part that changes",
    ):  # fmt: skip
        assert part in card, part
    assert "language" not in packed()[1].file("MODEL_CARD.md").read_text()
