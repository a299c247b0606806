import pytest

from engine.backends import standin
from engine.errors import BundleError, UsageError
from engine.manifest import Manifest
from engine.spec import LadderSpec


@pytest.mark.parametrize(
    "wrong", [{"pull": -1}, {"push": -0.5}, {"key_pull": -1}, {"beat_pull": -1}, {"fade_s": 0}]
)
def test_a_pull_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    values = standin.bundle(prompting=True).manifest.to_json()
    values["prompting"] |= wrong
    with pytest.raises(BundleError, match=r"are at least 0, fade_s .* is more than 0"):
        Manifest.from_json(values)


def test_the_depth_divides_the_steps() -> None:
    assert LadderSpec(10, 5).passes_per_chunk == 2
    with pytest.raises(UsageError, match="10 steps cannot hold 3 chunks"):
        LadderSpec(10, 3)


def test_steps_are_rounded_up_to_the_depth() -> None:
    assert [LadderSpec(10, 5).rounded(steps) for steps in (0, 1, 5, 6)] == [5, 5, 5, 10]
