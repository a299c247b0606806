from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.backends import open_backend, standin
from engine.bundle import Bundle, default_bundle_path
from engine.clock import CLOCK_SIZE, clock_rows
from engine.drawing import token_noise
from engine.errors import BundleError
from engine.session import Backend
from engine.writer import Writer

ASKED = standin.bundle(prompting=True)


def writer(bundle: Bundle = ASKED, backend: Backend | None = None) -> Writer:
    made = Writer(bundle, backend or standin.StandIn(bundle))
    made._brief[0, ::7] = 0.5
    rng = np.random.default_rng(1)
    made._prefix[...] = 0.3 * rng.standard_normal(made._prefix.shape)
    return made


def told(one: Writer, count: int, first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clock, lean and noise of the tokens behind the one at `first`."""
    lean = np.sin(np.arange(one.vocabulary, dtype=np.float32))[None].repeat(count, 0)
    places = np.arange(first, first + count) * 0.7
    return clock_rows(places), lean, token_noise(4, first + 1, count, one.vocabulary)


def compare(bundle: Bundle, backend: Backend, sizes: tuple[int, ...], past: int) -> None:
    """Runs of these sizes behind a past give the tokens, and leave the rings, of single steps."""
    runs, steps = writer(bundle, backend), writer(bundle, backend)
    tokens = np.random.default_rng(0).integers(0, runs.vocabulary, past)
    for one in (runs, steps):
        one.read(tokens, 0, np.zeros((past, CLOCK_SIZE), np.float32))
    last, first = 1, past
    for count in sizes:
        given = (last, first, *told(runs, count, first), runs.vocabulary)
        found = runs.write(*given)
        np.testing.assert_array_equal(found, steps.write_by_steps(*given))
        last, first = int(found[-1]), first + count
        np.testing.assert_array_equal(runs.filled, steps.filled)
        for name, ring in runs.states.items():
            np.testing.assert_allclose(ring, steps.states[name], atol=1e-4)


@pytest.mark.parametrize("past", [0, 3, 19, 24])
def test_a_run_is_its_steps(past: int) -> None:
    """Over the end of the ring too, whose oldest tokens slide out within the run."""
    compare(ASKED, standin.StandIn(ASKED), (8, 8, 1, 5, 8), past)


def test_a_run_of_the_shipped_bundle_is_its_steps() -> None:
    bundle = Bundle.open(default_bundle_path())
    backend = open_backend("ort", bundle)
    compare(bundle, backend, (8,) * 12, 250)


def test_where_few_may_be_chosen_or_no_run_is_known_it_goes_by_steps() -> None:
    one = writer()
    clock, lean, noise = told(one, 8, 0)
    few = one.write(5, 0, clock, lean, noise, 3)
    assert not one._runs
    np.testing.assert_array_equal(few, writer().write_by_steps(5, 0, clock, lean, noise, 3))
    graphs = {k: v for k, v in ASKED.manifest.graphs.items() if k != "write"}
    older = replace(ASKED, manifest=replace(ASKED.manifest, graphs=graphs))
    every = (5, 0, clock, lean, noise, one.vocabulary)
    np.testing.assert_array_equal(writer(older).write(*every), writer().write(*every))


@pytest.mark.parametrize("graph", ["language", "write"])
def test_logits_that_are_not_finite_are_told(graph: str) -> None:
    one = writer(backend=standin.StandIn(ASKED, standin.Faults(graph, poison="nan")))
    write = one.write if graph == "write" else one.write_by_steps
    with pytest.raises(BundleError, match="language: its logits are not finite"):
        write(1, 0, *told(one, 2, 0), one.vocabulary)


def test_nothing_grows() -> None:
    one = writer()
    for first in range(0, 800, 8):
        one.write(1, first, *told(one, 8, first), one.vocabulary)
    assert list(one._runs) == [8] and one.filled.min() == 1.0
