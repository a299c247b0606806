"""The networks of a prompt at the engine's door, and which of them go together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_export import WORDS, networks, prompted

from engine.brief import brief_size
from engine.clock import CLOCK_SIZE
from engine.errors import UsageError
from export.networks import Networks
from export.prompting import Prompting, language_graph, prefix_graph, semantic_graph
from model.language import LanguageModel
from model.mulan import Mulan, MulanSizes
from model.presets import TINY

SIZES = {"samples": 6 * 320, "tokens": 6, "words": 3, "n": 5}


def three() -> Prompting:
    nets = prompted()
    assert nets.prompting is not None
    return nets.prompting


@torch.no_grad()
def test_every_graph_returns_what_it_says() -> None:
    for graph in three().graphs(channels=1):
        outputs = graph.module(graph.example(SIZES))
        assert tuple(outputs) == graph.leaving
        for tensor in graph.outputs:
            assert tuple(outputs[tensor.name].shape) == tensor.resolve(SIZES)
            assert str(outputs[tensor.name].dtype) == f"torch.{tensor.dtype}"
        for state in graph.states:
            assert state.ring_axis is not None
            shape = list(state.shape)
            shape[state.ring_axis] = SIZES["n"]
            assert list(outputs[state.next_name].shape) == shape


@torch.no_grad()
def test_tokens_are_the_nearest_of_the_features() -> None:
    semantic = three().semantic
    said = semantic_graph(semantic, 1).module({"audio": 0.1 * torch.randn(1, 1, 320 * 40)})
    apart = torch.cdist(said["features"], semantic.centroids[None])
    assert torch.equal(said["tokens"], apart.argmin(-1))


@torch.no_grad()
def test_prefix_and_steps_are_the_whole_pass() -> None:
    language = three().language
    codes, tokens = torch.randint(0, 257, (1, 12)), torch.randint(0, 33, (1, 9))
    brief = torch.rand(1, language.brief)
    step = language_graph(language)
    rings = {name: torch.from_numpy(x) for name, x in step.initial_states().items()}
    clock = torch.randn(1, 9, CLOCK_SIZE)
    feeds = {"tokens": tokens, "brief": brief, "clock": clock, "position": torch.tensor([4094]),
             "filled": torch.zeros(1, 24),
             "prefix": prefix_graph(language).module({"codes": codes})["prefix"],
             **rings}  # fmt: skip
    whole = language.whole_pass(tokens, brief[:, None].expand(-1, 9, -1), clock, codes)
    assert torch.allclose(step.module(feeds)["logits"], whole, atol=1e-5)


def test_networks_that_were_not_trained_for_each_other_are_refused() -> None:
    nets, fit = prompted(), three()
    brief = brief_size(TINY.joint)
    for other, says in (
        (replace(fit, language=LanguageModel(replace(TINY.language, vocabulary=31), brief)),
         "the language model writes tokens, 31 of them, the others have 32"),
        (replace(fit, language=LanguageModel(TINY.language, brief + 1)),
         f"the language model reads a brief, {brief + 1} of them, the others have {brief}"),
        (replace(fit, mulan=Mulan(MulanSizes(9, len(WORDS)))), "the music tower reads features, 9"),
        (replace(fit, words=WORDS[1:]), "the text tower knows words, 7 of them"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=says):
            replace(nets, prompting=other)
    with pytest.raises(UsageError, match="the velocity network reads"):
        Networks(nets.autoencoder, networks().velocity, "cached", fit)


def test_tokens_apart_counts_what_two_listeners_do_not_agree_on() -> None:
    one, other = three(), three()
    assert one.tokens_apart(other) == 0.0
    other.semantic.centroids.neg_()
    assert one.tokens_apart(other) > 0.9
