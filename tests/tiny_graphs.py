"""A bundle of three tiny real graphs, for the tests of backends."""

from __future__ import annotations

from pathlib import Path

from engine.backends import standin
from engine.bundle import Bundle, seal
from tests.test_ort import decoder, encoder, values, velocity


def tiny_bundle(folder: Path) -> Bundle:
    """Encoder, decoder with a state, velocity network with a ring."""
    folder.mkdir(parents=True)
    for name, model in (("encoder", encoder()), ("decoder", decoder()), ("velocity", velocity())):
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    return seal(folder, values(standin.bundle()))
