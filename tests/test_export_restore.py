"""From a bundle back to networks: every weight as the bundle holds it, and trainable again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import soundfile
import torch
from tiny_export import networks, packed, packed_prompting
from torch import nn

from engine.bundle import Bundle, seal
from engine.errors import BundleError, UsageError
from export import __main__ as export_command
from export import restore as command
from export.networks import Networks, round_off
from export.pack import training_figures
from export.restore import Stored, filled, read_weights, restore, write
from export.rounding import round_to_half
from export.weights import NAMES
from model import train_autoencoder, train_velocity
from model.corpus import prepare
from model.language import load_language
from model.presets import TINY
from model.sampling import CachedSampler
from model.semantic import load_semantic
from model.train_mulan import load_mulan, load_words


def both(pair: Networks) -> dict[str, nn.Module]:
    return {"autoencoder": pair.autoencoder, "velocity": pair.velocity}


def assert_same_weights(one: nn.Module, other: nn.Module) -> None:
    wanted = other.state_dict()
    assert list(one.state_dict()) == list(wanted)
    for name, weight in one.state_dict().items():
        assert torch.equal(weight, wanted[name]), name


def resealed(folder: Path, change: Callable[[Path, dict[str, Any]], None]) -> Bundle:
    """A copy of the tiny bundle, changed and sealed again: whole, but not what was exported."""
    _, bundle = packed()
    assert bundle.path is not None
    shutil.copytree(bundle.path, folder)
    values = bundle.manifest.to_json()
    change(folder, values)
    return seal(folder, values)


def test_every_weight_comes_back_as_the_bundle_holds_it() -> None:
    pair, bundle = packed()
    restored, preset = restore(bundle)
    assert preset is TINY
    assert restored.context == "cached"
    for name, network in both(restored).items():
        assert_same_weights(network, both(pair)[name])
    exact = networks().velocity.enter.weight
    assert torch.equal(restored.velocity.enter.weight, exact.half().float())


@torch.no_grad()
def test_the_restored_networks_say_the_same() -> None:
    pair, bundle = packed()
    restored, _ = restore(bundle)
    audio, noise = 0.1 * torch.randn(1, 1, 1600), torch.randn(1, 8, 8)
    said = []
    for nets in (pair, restored):
        latents = nets.autoencoder.normalised(audio)
        chunk = CachedSampler(nets.velocity).next_chunk(noise, 3)
        sound, _ = nets.autoencoder.step(chunk, nets.autoencoder.decoder.initial_states())
        said.append((latents, chunk, sound))
    assert all(torch.equal(one, other) for one, other in zip(*said, strict=True))


def test_the_run_folders_are_what_training_starts_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair, bundle = packed()
    arguments = ["--bundle", f"{bundle.path}", "--out", f"{tmp_path}"]
    assert command.main(arguments) == 0
    assert command.main(arguments) == 0, "restoring again replaces what was restored"
    assert f"{tmp_path}/velocity: preset tiny" in capsys.readouterr().out
    autoencoder, preset = train_autoencoder.load_autoencoder(tmp_path / "autoencoder")
    velocity, _, context = train_velocity.load_velocity(tmp_path / "velocity")
    assert (preset, context) == (TINY, "cached")
    assert_same_weights(autoencoder, pair.autoencoder)
    assert_same_weights(velocity, pair.velocity)


def test_what_the_bundle_says_of_the_training_goes_along(tmp_path: Path) -> None:
    pair, _ = packed()
    measured = {"training.velocity.step": 7, "training.velocity.valid_loss": 0.5, "preset": "tiny"}
    for _ in range(2):  # again replaces it
        write(pair, TINY, tmp_path, measured)
    again = training_figures(tmp_path / "velocity", "velocity")
    assert again == {"training.velocity.step": 7, "training.velocity.valid_loss": 0.5}
    assert not (tmp_path / "autoencoder" / "log.jsonl").exists()


def test_a_training_is_not_overwritten(tmp_path: Path) -> None:
    pair, _ = packed()
    (tmp_path / "velocity").mkdir()
    torch.save({"network": {}, "average": {}}, tmp_path / "velocity" / "checkpoint.pt")
    with pytest.raises(UsageError, match="velocity holds a training"):
        write(pair, TINY, tmp_path, {})
    assert not (tmp_path / "autoencoder").exists()


def test_every_network_behind_a_prompt_comes_back(tmp_path: Path) -> None:
    nets, bundle = packed_prompting()
    assert command.main(["--bundle", f"{bundle.path}", "--out", f"{tmp_path}"]) == 0
    velocity, preset, context = train_velocity.load_velocity(tmp_path / "velocity")
    assert (preset, context) == (TINY, "cached")
    assert_same_weights(velocity, nets.velocity)
    assert nets.prompting is not None
    language, _ = load_language(tmp_path / "language")
    assert_same_weights(language, nets.prompting.language)
    semantic, _ = load_semantic(tmp_path / "semantic")
    assert_same_weights(semantic.enter, nets.prompting.semantic.enter)
    audio = 0.1 * torch.randn(1, 1, 3200)
    assert torch.equal(semantic.hidden(audio), nets.prompting.semantic.hidden(audio))
    mulan = load_mulan(tmp_path / "mulan")
    assert_same_weights(mulan, nets.prompting.mulan)
    assert tuple(load_words(tmp_path / "mulan")) == nets.prompting.words


def test_what_was_restored_is_exported_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, bundle = packed_prompting()
    assert command.main(["--bundle", f"{bundle.path}", "--out", f"{tmp_path}"]) == 0
    packs: list[Networks] = []
    monkeypatch.setattr(export_command, "pack", lambda nets, *rest, **named: packs.append(nets))
    names = (*export_command.PAIR, *export_command.PROMPTING)
    runs = [part for name in names for part in (f"--{name}", f"{tmp_path}/{name}")]
    assert export_command.main([*runs, "--out", f"{tmp_path}/again"]) == 0
    figures = round_off(packs[0])
    assert set(figures.values()) == {0.0}, "it is rounded already"


def forget_preset(folder: Path, values: dict[str, Any]) -> None:
    del values["measured"]["preset"]


def claim_live(folder: Path, values: dict[str, Any]) -> None:
    values["measured"]["preset"] = "live"


def look_back_elsewhere(folder: Path, values: dict[str, Any]) -> None:
    values["context"]["angle"] = 0.5


def forget_names(folder: Path, values: dict[str, Any]) -> None:
    change_names(folder, None)


def misname(folder: Path, values: dict[str, Any]) -> None:
    change_names(folder, {"velocity.leave.bias": {"at": "nowhere", "transposed": False}})


def change_names(folder: Path, names: object) -> None:
    model = ir.load(folder / "velocity.onnx")
    del model.metadata_props[NAMES]
    if names is not None:
        model.metadata_props[NAMES] = json.dumps(names)
    ir.save(model, folder / "velocity.onnx")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (forget_preset, "is of preset None, known here are tiny, live: "),
        (claim_live, r"preset live wants a weight autoencoder\.mean of \(64,\)"),
        (look_back_elsewhere, r"differs from preset tiny in manifest\.context"),
        (forget_names, "does not say where its weights lie"),
        (misname, "its weights are not where it says"),
    ],
)
def test_a_bundle_that_fits_no_preset_is_refused_in_one_line(
    change: Callable[[Path, dict[str, Any]], None], says: str, tmp_path: Path
) -> None:
    bundle = resealed(tmp_path / "bundle", change)
    with pytest.raises(BundleError, match=says) as refused:
        restore(bundle)
    assert "\n" not in str(refused.value)


def test_a_weight_that_is_missing_or_of_another_shape_is_named() -> None:
    pair, bundle = packed()
    stored = read_weights(bundle)
    kept = Stored({"leave.weight": stored.weights["velocity.leave.weight"]})
    stored.weights["velocity.leave.bias"] = np.zeros(9, np.float32)
    with pytest.raises(BundleError, match=r"velocity\.leave\.bias of \(8,\), .* one of \(9,\)"):
        filled(pair.velocity, stored, "velocity", "tiny")
    with pytest.raises(BundleError, match=r"leave\.bias of \(8,\), the bundle holds none"):
        filled(pair.velocity.leave, kept, "leave", "tiny")


def test_no_bundle_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--bundle", f"{tmp_path}/none", "--out", f"{tmp_path}"]) == 3
    assert "restore: " in capsys.readouterr().err


def moved(one: nn.Linear, other: nn.Linear) -> float:
    """Largest difference of two weights: none that begin apart come as close as 0.01."""
    return float((one.weight - other.weight).detach().abs().max())


def recordings(folder: Path) -> Path:
    """Three made-up recordings of chords that come and go, each 8 s at 8 kHz."""
    folder.mkdir()
    at_s = np.arange(8 * 8000) / 8000
    for index in range(3):
        chord = sum(np.sin(2 * np.pi * hz * at_s) for hz in (110 * (index + 2), 331, 553))
        audio = 0.1 * chord * (1 + 0.5 * np.sin(2 * np.pi * 2 * at_s))
        soundfile.write(folder / f"{index}.wav", audio.astype(np.float32), 8000)
    return folder


def prepared(music: Path, data: Path) -> None:
    """Recordings as the tiny preset hears them."""
    form = ["--rate", "8000", "--channels", "1"]
    assert prepare.main(["--data", f"{music}", "--out", f"{data}", *form]) == 0


def test_the_whole_way_from_a_bundle_and_recordings_to_a_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second bundle is without the graph that takes longest to trace."""
    pair, bundle = packed()
    data, shipped, tuned = tmp_path / "data", tmp_path / "shipped", tmp_path / "velocity"
    music = recordings(tmp_path / "music")
    prepared(music, data)
    assert command.main(["--bundle", f"{bundle.path}", "--out", f"{shipped}"]) == 0
    assert train_velocity.main([
        "--data", f"{data}", "--autoencoder", f"{shipped}/autoencoder",
        "--init", f"{shipped}/velocity", "--out", f"{tuned}", "--steps", "3", "--threads", "1",
    ]) == 0  # fmt: skip
    assert (tuned / "latents.npz").exists()
    every = Networks.graphs
    monkeypatch.setattr(
        Networks, "graphs", lambda nets: [g for g in every(nets) if g.name != "descend"]
    )
    assert export_command.main([
        "--autoencoder", f"{shipped}/autoencoder", "--velocity", f"{tuned}",
        "--out", f"{tmp_path}/tuned", "--cpu-only",
    ]) == 0  # fmt: skip
    restored, _ = restore(Bundle.open(tmp_path / "tuned"))
    assert_same_weights(restored.autoencoder, pair.autoencoder)
    trained, _, _ = train_velocity.load_velocity(tuned)
    round_to_half(trained)
    assert_same_weights(restored.velocity, trained)
    assert 0 < moved(trained.enter, pair.velocity.enter) < 0.01


def test_the_autoencoder_starts_from_restored_weights(tmp_path: Path) -> None:
    pair, bundle = packed()
    data, out = tmp_path / "data", tmp_path / "autoencoder"
    music = recordings(tmp_path / "music")
    prepared(music, data)
    restored, preset = restore(bundle)
    write(restored, preset, tmp_path / "shipped", {})
    arguments = ["--data", f"{data}", "--preset", "tiny", "--steps", "1", "--batch", "2",
                 "--threads", "1", "--init", f"{tmp_path}/shipped/autoencoder"]  # fmt: skip
    assert train_autoencoder.main([*arguments, "--out", f"{out}"]) == 0
    tuned, _ = train_autoencoder.load_autoencoder(out)
    assert moved(tuned.encoder.enter, pair.autoencoder.encoder.enter) < 0.01
    with pytest.raises(SystemExit, match="holds no training: name it as --init"):
        train_autoencoder.main([*arguments, "--out", f"{tmp_path}/shipped/autoencoder"])
