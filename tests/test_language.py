"""The semantic language model: cached equals whole, prompts may change, nothing looks ahead."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sharing import unshared

from engine.brief import brief_size
from engine.clock import CLOCK_SIZE, EVIDENCE_SIZE
from model.language import LanguageModel
from model.layers import POSITION_PERIOD
from model.presets import TINY

P = TINY.language
BRIEF = brief_size(TINY.joint)


def language() -> LanguageModel:
    """A tiny network whose every weight matters, in float64."""
    torch.manual_seed(0)
    made = LanguageModel(P, BRIEF).double().eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made


def clock(count: int) -> torch.Tensor:
    """[2, count, K]."""
    return torch.randn(2, count, CLOCK_SIZE, generator=torch.Generator().manual_seed(2)).double()


def material(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """tokens [2, count], brief [2, Bf], codes [2, 12]."""
    random = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, P.vocabulary, (2, count), generator=random)
    brief = torch.randn(2, BRIEF, generator=random).double()
    codes = torch.randint(0, P.code_vocabulary + 1, (2, P.codes), generator=random)
    return tokens, brief, codes


def streamed(
    made: LanguageModel, tokens: torch.Tensor, brief: torch.Tensor, codes: torch.Tensor,
    sizes: list[int], first: int = 0,
) -> torch.Tensor:  # fmt: skip
    """Logits of tokens given in pieces of the given sizes, through the rings."""
    states = {name: x.double() for name, x in made.initial_states(2).items()}
    filled = torch.zeros(2, P.context).double()
    prefix, seen, place = made.prefix(codes), [], 0
    for size in sizes:
        part = tokens[:, place : place + size]
        position = torch.tensor([(first + place) % POSITION_PERIOD])
        bar = clock(tokens.shape[1])[:, place : place + size]
        logits, after = made.cached_pass(part, brief, bar, position, filled, prefix, states)
        slots = [(place + k) % P.context for k in range(size)]
        for name, value in after.items():
            states[name][:, :, slots] = value
        filled[:, slots] = 1.0
        place += size
        seen.append(logits)
    return torch.cat(seen, 1)


@torch.no_grad()
def test_one_by_one_and_in_pieces_equal_the_whole() -> None:
    made, (tokens, brief, codes) = language(), material(20)
    whole = made.whole_pass(tokens, brief[:, None].expand(-1, 20, -1), clock(20), codes)
    for sizes in ([1] * 20, [7, 1, 12], [20]):
        assert torch.allclose(streamed(made, tokens, brief, codes, sizes), whole, atol=1e-10)


@torch.no_grad()
def test_sliding_past_the_context_equals_the_whole() -> None:
    """One by one, a token sees the `context` tokens before it, as in training."""
    count = P.context + 9
    made, (tokens, brief, codes) = language(), material(count)
    whole = made.whole_pass(tokens, brief[:, None].expand(-1, count, -1), clock(count), codes)
    assert torch.allclose(streamed(made, tokens, brief, codes, [1] * count), whole, atol=1e-10)


@torch.no_grad()
@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize("full", [0, 5, P.context])
def test_a_run_chooses_and_leaves_behind_what_its_steps_do(scan: bool, full: int) -> None:
    """Behind a ring with `full` tokens, of which some slide out within the run."""
    made, count, first = language(), 6, 5
    made.scan = scan
    random = torch.Generator().manual_seed(3)
    states = {
        name: torch.randn(x.shape, generator=random).double()
        for name, x in made.initial_states().items()
    }
    favour = torch.randn(1, count, P.vocabulary, generator=random).double()
    bar, brief, position = clock(count)[:1], material(1)[1][:1], torch.tensor([first])
    prefix, token = made.prefix(material(1)[2][:1]), torch.tensor([[P.vocabulary]])
    filled = (torch.arange(P.context) < full).double()[None]
    slots = [(first + k) % P.context for k in range(count)]
    rows = filled[:, None].repeat(1, count, 1)
    for k in range(count):
        rows[0, k, slots[:k]] = 0.0
    chosen, logits, after = made.written(token, favour, brief, bar, position, rows, prefix, states)
    for k in range(count):
        now = bar[:, k : k + 1]
        said, own = made.cached_pass(token, brief, now, position + k, filled, prefix, states)
        assert torch.allclose(said[:, 0], logits[:, k], atol=1e-12)
        token = (said + favour[:, k : k + 1]).argmax(-1)
        assert torch.equal(token[:, 0], chosen[:, k])
        for name, value in own.items():
            states[name][:, :, slots[k]] = value[:, :, 0]
            assert torch.allclose(after[name][:, :, k], value[:, :, 0], atol=1e-12)
        filled[:, slots[k]] = 1.0


@torch.no_grad()
def test_queries_that_share_keys_meet_what_they_would_meet_with_keys_of_their_own() -> None:
    made, (tokens, brief, codes) = language(), material(20)
    own = LanguageModel(replace(P, kv_heads=P.heads), BRIEF).double().eval()
    unshared(made, own, P.width, P.kv_heads, P.heads)
    assert P.kv_heads < P.heads
    for sizes in ([1] * 20, [20]):
        alone, shared = (streamed(one, tokens, brief, codes, sizes) for one in (own, made))
        assert torch.allclose(alone, shared, atol=1e-10)
    again = own.pooled(P.kv_heads).double()
    assert torch.allclose(streamed(again, tokens, brief, codes, [20]), shared, atol=1e-6)
    with pytest.raises(ValueError, match="1 heads of keys make no 2"):
        made.pooled(2)


@torch.no_grad()
def test_positions_wrap_without_a_seam() -> None:
    made, (tokens, brief, codes) = language(), material(12)
    here = streamed(made, tokens, brief, codes, [1] * 12)
    over = streamed(made, tokens, brief, codes, [1] * 12, first=POSITION_PERIOD - 5)
    assert torch.allclose(here, over, atol=1e-9)


@torch.no_grad()
def test_nothing_looks_ahead() -> None:
    made, (tokens, brief, codes) = language(), material(10)
    asked = brief[:, None].expand(-1, 10, -1).clone()
    before = made.whole_pass(tokens, asked, clock(10), codes)
    tokens[:, 6] = (tokens[:, 6] + 1) % P.vocabulary
    asked[:, 7] += 1.0
    after = made.whole_pass(tokens, asked, clock(10), codes)
    assert torch.equal(before[:, :6], after[:, :6])
    assert not torch.allclose(before[:, 6], after[:, 6])


@torch.no_grad()
def test_codes_that_change_on_the_way_are_seen_from_there_on() -> None:
    made, (tokens, brief, codes) = language(), material(10)
    asked = brief[:, None].expand(-1, 10, -1)
    both = torch.stack([codes, codes.flip(0)], dim=1)
    sources = torch.zeros(2, 10, 2, dtype=torch.bool)
    sources[:, :4, 0] = True
    sources[:, 4:, 1] = True
    mixed = made.whole_pass(tokens, asked, clock(10), both, sources)
    first = made.whole_pass(tokens, asked, clock(10), codes)
    assert torch.allclose(mixed[:, :4], first[:, :4], atol=1e-10)
    assert not torch.allclose(mixed[:, 4:], first[:, 4:])


@torch.no_grad()
def test_prompt_brief_and_clock_matter() -> None:
    made, (tokens, brief, codes), bar = language(), material(5), clock(5)
    asked = brief[:, None].expand(-1, 5, -1)
    one = made.whole_pass(tokens, asked, bar, codes)
    absent = torch.full_like(codes, P.code_vocabulary)
    assert not torch.allclose(one, made.whole_pass(tokens, asked, bar, absent))
    assert not torch.allclose(one, made.whole_pass(tokens, torch.zeros_like(asked), bar, codes))
    assert not torch.allclose(one, made.whole_pass(tokens, asked, torch.zeros_like(bar), codes))


@torch.no_grad()
def test_an_untrained_network_says_what_it_has_counted() -> None:
    made = LanguageModel(P, BRIEF).eval()
    made.count([torch.tensor([1, 2, 1, 2, 1, 2]), torch.tensor([2, 3])])
    tokens, codes = torch.tensor([[1, 2]]), torch.zeros(1, P.codes, dtype=torch.int64)
    chance = made.whole_pass(tokens, torch.zeros(1, 2, BRIEF), torch.zeros(1, 2, CLOCK_SIZE), codes)
    chance = chance.softmax(-1)[0]
    assert int(chance[0].argmax()) == 2 and int(chance[1].argmax()) == 1
    assert float(chance[0, 2]) == pytest.approx((3 + 8 * 4 / 38) / (3 + 8), rel=1e-4)
    assert float(chance[1, 3]) == pytest.approx((1 + 8 * 2 / 38) / (3 + 8), rel=1e-4)


@torch.no_grad()
def test_leaning_tells_what_a_brief_is_made_of_and_nothing_of_none() -> None:
    made = language()
    brief = torch.randn(3, BRIEF).double()
    leaning = made.leaning(brief)
    chance = made.lean(torch.zeros(1, BRIEF).double()).softmax(-1)
    assert torch.allclose((leaning.exp() * chance).sum(-1), torch.ones(3).double())
    assert torch.equal(made.leaning(torch.zeros_like(brief)), torch.zeros(3, P.vocabulary).double())


@torch.no_grad()
def test_evidence_is_what_was_counted_of_each_token() -> None:
    made = language()
    tokens = torch.tensor([[3, P.vocabulary, 0]])
    assert torch.equal(made.evidence(tokens)[0], made.heard[tokens[0]])
    assert made.evidence(tokens).shape == (1, 3, EVIDENCE_SIZE)
