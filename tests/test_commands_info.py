from two_sizes import two_sizes

from engine.backends import standin
from engine.commands.info import describe


def test_every_size_of_chunk_is_told_with_its_length() -> None:
    lines = describe(two_sizes())
    told = next(line for line in lines if line.split()[:1] == ["chunks"])
    assert told.endswith("16 frames (0.32 s); with --chunk also 8 frames (0.16 s)")
    assert "graphs for chunks of 8 frames" in lines
    assert any("velocity.8.onnx: latents[batch, chunks, 8, 8]" in line for line in lines)


def test_one_size_needs_no_option() -> None:
    lines = describe(standin.bundle(chunk_frames=(16,)))
    assert any(line.endswith("16 frames (0.32 s)") for line in lines)
    assert not any("--chunk" in line or "graphs for" in line for line in lines)
