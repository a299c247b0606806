import pytest

from engine.backends import BACKENDS, open_backend
from engine.bundle import Bundle
from engine.errors import UsageError


def test_a_bundle_in_memory_is_played_by_the_stand_in(bundle: Bundle) -> None:
    assert open_backend("auto", bundle).name == "standin"
    assert open_backend("standin", bundle).name == "standin"


def test_an_unknown_backend_is_refused_with_those_there_are(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="no backend 'magic'; there are: auto, ort, standin"):
        open_backend("magic", bundle)
    assert "auto" in BACKENDS
