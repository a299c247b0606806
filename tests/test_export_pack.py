"""From networks to a bundle that plays what torch plays, or to no bundle at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from tiny_export import WORDS, networks, packed, packed_prompting

from engine.backends import open_backend
from engine.bundle import Bundle
from engine.controls import Controls
from engine.errors import BundleError, UsageError
from engine.generator import Generator
from engine.golden import golden_latents
from engine.window import noise
from export.networks import EVERY_PASS
from export.pack import (
    GOLDEN,
    Label,
    pack,
    refuse_occupied,
    replace_folder,
    training_figures,
)
from export.weights import HALF, INT8
from model.sampling import CachedSampler


def test_the_bundle_opens_and_says_what_it_is() -> None:
    pair, bundle = packed()
    manifest = bundle.manifest
    assert manifest.audio.sample_rate_hz == 8000
    assert manifest.chunk_frames == (8,)
    assert manifest.context.angle == pair.velocity.context_angle
    assert manifest.graphs["velocity"].variants == {
        "cpu": "velocity.unrolled.onnx", "accelerator": "velocity.unrolled.onnx"}  # fmt: skip
    assert {"LICENSE", "MODEL_CARD.md", "weights.data"} <= set(manifest.files)
    assert float(manifest.measured["parity.velocity.ort_torch"]) < 1e-4
    assert float(manifest.measured["half.decoder"]) < 0.01
    assert manifest.measured["preset"] == "tiny"


def test_the_golden_chunks_are_those_of_torch() -> None:
    pair, bundle = packed()
    golden = bundle.golden()
    assert golden is not None
    sampler = CachedSampler(pair.velocity)
    chunks = []
    for index in range(GOLDEN.chunks):
        start = torch.from_numpy(noise(GOLDEN.seed, index, 8, 8))[None]
        chunks.append(sampler.next_chunk(start, GOLDEN.steps)[0].numpy())
    assert np.allclose(golden, np.concatenate(chunks), atol=1e-4)


def test_the_golden_chunks_come_again() -> None:
    _, bundle = packed()
    assert np.array_equal(
        golden_latents(bundle, open_backend("ort", bundle), GOLDEN), bundle.golden()
    )


def test_it_goes_on_behind_a_take() -> None:
    _, bundle = packed()
    generator = Generator(bundle, open_backend("ort", bundle), seed=1)
    controls = Controls(bundle.manifest.controls).snapshot()
    generator.prime(0.1 * np.random.default_rng(0).standard_normal((9000, 1)).astype(np.float32))
    block = generator.tick(controls)
    assert block.audio.shape == (8 * 160, 1)
    assert np.isfinite(block.audio).all()


@pytest.mark.parametrize(
    "file", ["weights.data", "velocity.onnx", "manifest.json", "golden.npz", "LICENSE"]
)
def test_a_flipped_byte_is_refused(file: str, tmp_path: Path) -> None:
    _, bundle = packed()
    assert bundle.path is not None
    folder = tmp_path / "bundle"
    shutil.copytree(bundle.path, folder)
    Bundle.open(folder)
    content = bytearray((folder / file).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / file).write_bytes(content)
    with pytest.raises(BundleError):
        Bundle.open(folder)


def test_a_bundle_with_prompts_says_how_it_is_asked() -> None:
    nets, bundle = packed_prompting()
    manifest = bundle.manifest
    assert manifest.conditions == ("tokens", "brief")
    assert bundle.words == WORDS
    assert manifest.prompting is not None and nets.prompting is not None
    prompting = manifest.prompting
    assert (prompting.embedding, prompting.codes, prompting.vocabulary) == (64, 12, 32)
    assert (prompting.token_frames, prompting.language_context) == (2, 24)
    assert prompting.brief_size == nets.prompting.language.brief
    assert (prompting.pull, prompting.push) == (0.8, 1.5)
    assert (prompting.key_pull, prompting.beat_pull) == (4.0, 2.0)
    controls = {control.name: control for control in manifest.controls}
    assert controls["guidance"].default == 1.5
    assert controls["top_k"].maximum == 32
    assert controls["drums"].optional


def test_every_graph_of_a_bundle_with_prompts_was_compared() -> None:
    nets, bundle = packed_prompting()
    measured = bundle.manifest.measured
    for graph in nets.graphs():
        assert float(measured[f"parity.{graph.name}.ort_torch"]) < 1e-4
        assert float(measured[f"parity.{graph.name}.ort_float64"]) < 1e-4
    assert float(measured["parity.language.ort_whole"]) < 1e-4
    assert measured["preset"] == "tiny"


def test_what_reads_and_what_writes_tokens_share_their_weights() -> None:
    _, bundle = packed_prompting()
    places = {
        name: {
            value.const_value.offset
            for value in ir.load(bundle.file(f"{name}.onnx")).graph.initializers.values()
            if isinstance(value.const_value, ir.ExternalTensor)
        }
        for name in ("language", "write")
    }
    assert places["write"] <= places["language"] and len(places["write"]) > 10


def test_what_is_not_run_in_every_pass_is_stored_as_int8() -> None:
    _, bundle = packed_prompting()
    for name in bundle.manifest.graphs:
        stored = ir.load(bundle.file(f"{name}.onnx")).graph.initializers
        kinds = {INT8: name not in (*EVERY_PASS, "quantise"),
                 HALF: name in (*EVERY_PASS, "quantise", "semantic")}  # fmt: skip
        for suffix, wanted in kinds.items():
            assert any(value.endswith(suffix) for value in stored) == wanted, (name, suffix)


def test_the_golden_chunks_of_a_bundle_with_prompts_come_again() -> None:
    _, bundle = packed_prompting()
    golden = bundle.golden()
    assert golden is not None and golden.shape == (GOLDEN.chunks * 8, 8)
    assert np.array_equal(golden_latents(bundle, open_backend("ort", bundle), GOLDEN), golden)


def test_a_control_that_starts_outside_its_range_is_refused() -> None:
    with pytest.raises(UsageError, match=r"guidance is 9, it takes 1 … 5"):
        Label(guidance=9.0)
    with pytest.raises(UsageError, match=r"temperature is nan, it takes 0\.7 … 1\.2"):
        Label(temperature=float("nan"))


def test_a_pull_that_cannot_be_is_refused() -> None:
    for wrong, says in (
        ({"pull": -0.1}, "pull is -0.1, it takes 0 or more"),
        ({"fade_s": 0.0}, "fade_s is 0, it takes more than 0"),
        ({"key_pull": float("inf")}, "key_pull is inf, it takes 0 or more"),
        ({"beat_pull": -1.0}, "beat_pull is -1, it takes 0 or more"),
    ):
        with pytest.raises(UsageError, match=says):
            Label(**wrong)


def test_a_failed_export_leaves_the_bundle_before_it(tmp_path: Path) -> None:
    _, bundle = packed()
    assert bundle.path is not None
    out = tmp_path / "bundle"
    shutil.copytree(bundle.path, out)
    pair = networks()
    with torch.no_grad():
        pair.velocity.leave.weight[0, 0] = float("nan")
    with pytest.raises(BundleError, match=r"velocity: leave\.weight holds NaN"):
        pack(pair, out, Label(), say=lambda line: None)
    assert Bundle.open(out).hash == bundle.hash
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_nothing_but_a_bundle_is_replaced(tmp_path: Path) -> None:
    refuse_occupied(tmp_path / "free")
    refuse_occupied(tmp_path)
    (tmp_path / "thesis.txt").write_text("years of work")
    for path in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(UsageError, match="is no bundle"):
            refuse_occupied(path)
    (tmp_path / "manifest.json").write_text("{}")
    refuse_occupied(tmp_path)


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    for folder in (new, old):
        folder.mkdir()
        (folder / folder.name).touch()
    replace_folder(new, old, tmp_path / "aside")
    assert [path.name for path in old.iterdir()] == ["new"]
    assert [path.name for path in (tmp_path / "aside").iterdir()] == ["old"]


def test_training_figures_are_the_last_line_of_the_log(tmp_path: Path) -> None:
    assert training_figures(tmp_path, "velocity") == {}
    lines = [{"step": 1, "loss": 0.9}, {"step": 2, "loss": 0.5, "note": "x", "bad": float("nan")}]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert training_figures(tmp_path, "velocity") == {
        "training.velocity.step": 2, "training.velocity.loss": 0.5}  # fmt: skip
