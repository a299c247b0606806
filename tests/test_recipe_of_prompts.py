"""The semantic half of the recipe, end to end on a tiny corpus: every command, resumed once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import velocities
from engine.brief import brief_size
from engine.clock import CLOCK_SIZE, EVIDENCE_SIZE
from engine.errors import UsageError
from model import (
    tokenise,
    train_autoencoder,
    train_distilled,
    train_language,
    train_mulan,
    train_semantic,
    train_velocity,
)
from model.briefs import Briefs, load_briefs, told_mask
from model.corpus.variants import song_of
from model.evidence import count_evidence, ratios
from model.language import LanguageModel, load_language
from model.presets import TINY
from model.semantic import load_semantic
from model.training import Budget, Run
from model.velocity import VelocityNetwork
from tests.tiny_corpus import write_corpus

LIGHT = ["--threads", "1", "--validate-every", "2"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the corpus, the store and the runs that need them."""
    folder = tmp_path_factory.mktemp("recipe")
    corpus, data = write_corpus(folder)
    known = ["--data", str(data), "--corpus", str(corpus), "--preset", "tiny"]
    semantic = [*known, "--out", str(folder / "semantic"), "--batch", "2", "--seconds", "2"]
    train_semantic.main([*semantic, *LIGHT, "--steps", "3"])
    train_semantic.main([*semantic, *LIGHT, "--steps", "6"])
    tokenise.main(["--data", str(data), "--semantic", str(folder / "semantic"),
                   "--out", str(folder / "store"), "--threads", "1",
                   "--semitones", "0", "2"])  # fmt: skip
    with pytest.MonkeyPatch.context() as little:
        little.setattr(train_mulan, "FITTED_ON", 1)
        little.setattr(train_mulan, "HELD_OUT", 32)
        train_mulan.main(["--corpus", str(corpus), "--features", str(folder / "store"),
                          "--out", str(folder / "mulan"), "--steps", "3", "--batch", "4",
                          *LIGHT])  # fmt: skip
    return folder


def steps_logged(run: Path) -> list[int]:
    """The steps at which a run wrote its figures."""
    return [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]


def test_the_listener_leaves_centroids_and_tokens(runs: Path) -> None:
    encoder, preset = load_semantic(runs / "semantic")
    store = tokenise.Semantics(runs / "store")
    assert preset.name == "tiny" and max(steps_logged(runs / "semantic")) == 6
    assert len(torch.unique(encoder.centroids, dim=0)) > TINY.semantic.vocabulary // 2
    assert set(store.split.values()) == {"train", "valid"}
    for name in store.names:
        hidden = torch.from_numpy(store.features(name).astype(np.float32))
        near = encoder.nearest(hidden).numpy() == store.tokens[name]
        assert near.mean() > 0.98  # float16 moves a few over a border


def test_recordings_without_truth_train_the_listener(runs: Path, tmp_path: Path) -> None:
    train_semantic.main(["--data", str(runs / "data"), "--out", str(tmp_path / "semantic"),
                         "--preset", "tiny", "--batch", "2", "--seconds", "2", "--steps", "2",
                         *LIGHT])  # fmt: skip
    assert load_semantic(tmp_path / "semantic")[0].centroids.any()


def test_briefs_say_what_holds_or_nothing(runs: Path) -> None:
    store = tokenise.Semantics(runs / "store")
    briefs = load_briefs(store, runs / "mulan", runs / "corpus")
    assert briefs.size == brief_size(TINY.joint)
    rng, name = np.random.default_rng(0), store.names[0]
    truth = briefs.song(name).controls[10:30].astype(np.float32)
    told = [briefs.controls(name, 10, 20, rng) for _ in range(40)]
    assert all(np.array_equal(rows, np.where(rows[:1] != 0, truth, rows)) for rows in told)
    assert any(not rows.any() for rows in told) and any(np.allclose(rows, truth) for rows in told)
    prompts = [briefs.prompt(name, 10, rng) for _ in range(40)]
    absent = [bool((codes == briefs.absent).all()) for codes, _ in prompts]
    assert 2 < sum(absent) < 25
    for (_, place), nothing in zip(prompts, absent, strict=True):
        assert float(place.norm()) == pytest.approx(0.0 if nothing else 1.0, abs=1e-5)


def test_songs_without_truth_are_prompted_by_their_sound(runs: Path) -> None:
    store = tokenise.Semantics(runs / "store")
    briefs: Briefs = load_briefs(store, runs / "mulan", None)
    told = briefs.song(store.names[0])
    assert told.codes.shape[1] == 1 and not told.controls.any()


def test_a_mask_tells_whole_groups() -> None:
    rng = np.random.default_rng(0)
    parts = {float(told_mask(rng).mean()) for _ in range(60)}
    assert 0.0 in parts and 1.0 in parts and len(parts) > 10


def test_language_trains_and_resumes(runs: Path, tmp_path: Path) -> None:
    known = ["--features", str(runs / "store"), "--mulan", str(runs / "mulan"), "--corpus",
             str(runs / "corpus"), "--preset", "tiny", "--out", str(tmp_path / "language"),
             "--batch", "2", *LIGHT]  # fmt: skip
    train_language.main([*known, "--steps", "2"])
    train_language.main([*known, "--steps", "4"])
    assert max(steps_logged(tmp_path / "language")) == 4
    model, preset = load_language(tmp_path / "language")
    assert preset.name == "tiny" and model.brief == brief_size(TINY.joint)


def test_language_goes_on_from_a_model_with_more_heads_of_keys(runs: Path, tmp_path: Path) -> None:
    sizes = replace(TINY.language, kv_heads=TINY.language.heads)
    before = LanguageModel(sizes, brief_size(TINY.joint))
    Run(tmp_path / "more", Budget(1, 1.0)).save({"average": before}, preset="tiny")
    assert load_language(tmp_path / "more")[0].preset == sizes
    train_language.main([
        "--features", str(runs / "store"), "--mulan", str(runs / "mulan"), "--preset", "tiny",
        "--init", str(tmp_path / "more"), "--teacher", str(tmp_path / "more"),
        "--out", str(tmp_path / "fewer"), "--batch", "2", *LIGHT, "--steps", "1", "--lr", "0",
    ])  # fmt: skip
    model = load_language(tmp_path / "fewer")[0]
    assert model.preset == TINY.language
    for name, weight in before.pooled(TINY.language.kv_heads).named_parameters():
        assert torch.allclose(model.state_dict()[name], weight), name


def sequences(store: tokenise.Semantics, briefs: Briefs) -> train_language.Sequences:
    """Of 24 tokens, straying anywhere."""
    follow = np.full((store.vocabulary + 1, store.vocabulary), -np.log(store.vocabulary))
    return train_language.Sequences(store, briefs, 24, follow.astype(np.float32))


def test_who_expects_what_its_teacher_does_has_nothing_to_learn(runs: Path) -> None:
    store = tokenise.Semantics(runs / "store")
    briefs = load_briefs(store, runs / "mulan", runs / "corpus")
    batch = sequences(store, briefs).batch("train", 2, np.random.default_rng(0))
    torch.manual_seed(0)
    model, other = (LanguageModel(TINY.language, briefs.size).eval() for _ in range(2))
    for parameter in (*model.parameters(), *other.parameters()):
        torch.nn.init.normal_(parameter, std=0.2)
    steepest = []
    for teacher in (None, other, model):
        model.zero_grad()
        loss, means = train_language.losses_of(model, batch, teacher)
        loss.backward()
        steepest.append(max(float(p.grad.abs().max()) for p in model.layers.parameters()))
        assert torch.equal(means, train_language.losses_of(model, batch)[1])
    assert steepest[2] < 1e-5 < 1e-3 < min(steepest[:2])


def test_a_sequence_that_changes_song_says_where(runs: Path) -> None:
    store = tokenise.Semantics(runs / "store")
    briefs = load_briefs(store, runs / "mulan", runs / "corpus")
    data = sequences(store, briefs)
    rng, cuts, weighed = np.random.default_rng(0), [], 0
    for _ in range(40):
        tokens, after, brief, clock, codes, sources, weights = data.sequence("valid", rng)
        assert torch.equal(tokens[1:], after[:-1]) and brief.shape == (24, briefs.size)
        assert clock.shape == (24, CLOCK_SIZE) and codes.shape == (3, 12)
        assert bool((sources.sum(1) == 1).all())
        owner = sources.int().argmax(1)
        assert bool((owner.diff() >= 0).all())
        cuts.append(int(owner[-1]))
        for turn in (owner.diff() > 0).nonzero().flatten().tolist():
            assert not torch.equal(brief[turn], brief[turn + 1])
            assert float(weights[turn + 1]) == train_language.FRESH_WEIGHT
        started = int(tokens[0]) == store.vocabulary
        assert started == (float(weights[0]) > 1) or owner[0] > 0
        weighed += started
    assert set(cuts) == {0, 1, 2} and 4 < weighed < 24


def test_runs_that_stray_last_as_long_and_are_not_learned() -> None:
    tokens = np.array([4, 0, 0, 0, 1, 1, 2, 3, 3, 3])  # of four, and the start token
    follow = np.full((5, 4), 0.25)
    read, off = train_language.strayed(tokens, follow, 1.0, np.random.default_rng(0))
    assert np.flatnonzero(off).tolist() == [2, 3, 5, 8, 9]
    assert read[0] == 4 and (read[1:] < 4).all()
    for start, end in ((1, 4), (4, 6), (6, 7), (7, 10)):
        assert len(set(read[start:end])) == 1 and read[start] != tokens[start - 1]
    same, none = train_language.strayed(tokens, follow, 0.0, np.random.default_rng(0))
    assert np.array_equal(same, tokens) and not none.any()


def test_only_what_is_trained_on_strays(runs: Path) -> None:
    store = tokenise.Semantics(runs / "store")
    data = sequences(store, load_briefs(store, runs / "mulan", runs / "corpus"))
    rng, strays = np.random.default_rng(0), {"train": 0, "valid": 0}
    for split in strays:
        for _ in range(20):
            read, after, *_, weights = data.sequence(split, rng)
            unlike = read[1:] != after[:-1]
            strays[split] += bool(unlike.any())
            assert bool((weights[~unlike.any().expand(24)] >= 1).all())
    assert 4 < strays["train"] < 16 and strays["valid"] == 0


def test_a_cut_may_go_on_with_the_same_song_in_another_key(runs: Path) -> None:
    store = tokenise.Semantics(runs / "store")
    briefs = load_briefs(store, runs / "mulan", runs / "corpus")
    data = sequences(store, briefs)
    rng = np.random.default_rng(0)
    before = data.piece("train", 10, rng)
    after = [data._other("train", before, 15, rng) for _ in range(30)]
    moved = [piece for piece in after if torch.equal(piece.codes, before.codes)]
    assert 2 < len(moved) < 20
    assert {piece.start for piece in moved} == {before.start + 10}
    assert {song_of(piece.name)[0] for piece in moved} == {song_of(before.name)[0]}
    assert all(piece.name != before.name for piece in moved)


def test_what_tokens_say_of_the_beat_is_counted(runs: Path) -> None:
    store = tokenise.Semantics(runs / "store")
    rows = count_evidence(store, runs / "corpus")
    assert rows.shape == (store.vocabulary + 1, EVIDENCE_SIZE) and rows.any()
    assert not rows[-1].any() and not count_evidence(store, None).any()
    counts = np.array([[90.0, 10.0], [10.0, 90.0], [0.0, 0.0]])
    likely = ratios(counts)
    assert likely[0, 0] > 0 > likely[0, 1] and np.abs(likely[2]).max() < 1e-9


def test_velocity_trains_with_conditions_from_one_without(runs: Path, tmp_path: Path) -> None:
    data = ["--data", str(runs / "data"), "--threads", "1", "--batch", "2"]
    train_autoencoder.main([*data, "--out", str(tmp_path / "ae"), "--preset", "tiny",
                            "--steps", "1"])  # fmt: skip
    plain = [*data, "--autoencoder", str(tmp_path / "ae"), "--steps", "2"]
    train_velocity.main([*plain, "--out", str(tmp_path / "plain")])
    asked = ["--features", str(runs / "store"), "--mulan", str(runs / "mulan"),
             "--corpus", str(runs / "corpus"), "--init", str(tmp_path / "plain"),
             "--own", "1"]  # fmt: skip
    train_velocity.main([*plain, "--out", str(tmp_path / "asked"), *asked])
    network, _, _ = train_velocity.load_velocity(tmp_path / "asked")
    assert network.preset.conditions == ("tokens", "brief")
    assert network.brief_enter.weight.abs().sum() > 0
    student = [
        *data,
        "--autoencoder",
        str(tmp_path / "ae"),
        *asked[:6],
        "--passes",
        "2",
        "--velocity",
        str(tmp_path / "asked"),
        "--out",
        str(tmp_path / "student"),
    ]
    train_distilled.main([*student, "--steps", "1"])
    train_distilled.main([*student, "--steps", "2"])
    taught, preset, context = train_velocity.load_velocity(tmp_path / "student")
    assert (preset.name, context, taught.preset) == ("tiny", "cached", network.preset)
    assert max(steps_logged(tmp_path / "student")) == 2
    sizes = replace(network.preset, kv_heads=network.preset.heads)
    Run(tmp_path / "more", Budget(1, 1.0)).save(
        {"average": VelocityNetwork(sizes)}, preset="tiny", context="cached",
        conditions=list(sizes.conditions),
    )  # fmt: skip
    assert train_velocity.load_velocity(tmp_path / "more")[0].preset == sizes
    train_distilled.main([*student, "--velocity", str(tmp_path / "more"), "--latents",
                          str(tmp_path / "asked" / "latents.npz"), "--steps", "1",
                          "--out", str(tmp_path / "fewer")])  # fmt: skip
    fewer = train_velocity.load_velocity(tmp_path / "fewer")[0]
    assert fewer.preset == TINY.prompted and fewer.preset.kv_heads < sizes.kv_heads
    beside(runs, tmp_path, [tmp_path / "asked", tmp_path / "student"])
    with pytest.raises(SystemExit, match="only a velocity network of cached context"):
        train_distilled.main([*student, "--velocity", str(tmp_path / "plain")])
    with pytest.raises(SystemExit, match="belong together"):
        train_velocity.main([*plain, "--out", str(tmp_path / "no"), *asked[:2]])


def beside(runs: Path, folder: Path, networks: list[Path]) -> None:
    """Both networks go on behind a piece, and are compared with it."""
    made = [*map(str, networks), "--data", str(runs / "data"), "--autoencoder", str(folder / "ae"),
            "--features", str(runs / "store"), "--mulan", str(runs / "mulan"), "--corpus",
            str(runs / "corpus"), "--passes", "2", "--split", "train",
            "--out", str(folder / "beside")]  # fmt: skip
    assert velocities.main([*made, "--songs", "1"]) == 0
    report = json.loads((folder / "beside" / "velocities.json").read_text())
    assert set(report["sides"]) == {velocities.PIECES, "asked", "student"}
    assert report["sides"][velocities.PIECES]["notes"] == 1.0
    assert all(np.isfinite(side["distance"]) for side in report["sides"].values())
    assert [run["steps"] for run in report["runs"].values()] == [2, 2]
    assert "Too few songs" in (folder / "beside" / "velocities.md").read_text()
    assert velocities.main([*made, "--songs", "400"]) == UsageError.exit_code
