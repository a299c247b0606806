import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.backends import standin
from engine.controls import Controls
from engine.errors import UsageError
from engine.generator import Generator
from engine.memory import Memory, check, remember
from engine.rig import states as module
from engine.rig.states import ABOUT, SUFFIX, States, load_state, save_state

BUNDLE = standin.bundle(prompting=True)
GENERATOR = Generator(BUNDLE, standin.StandIn(BUNDLE), seed=3)
SNAPSHOT = Controls(BUNDLE.manifest.controls).snapshot()
GENERATOR.tick(SNAPSHOT)
MEMORY = remember(GENERATOR, SNAPSHOT, (("slow jazz", 0.5),))
PLANNER = MEMORY.about["planner"]


def test_a_state_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "verse.state.npz"
    save_state(MEMORY, path)
    found = load_state(path)
    assert found.about == json.loads(json.dumps(MEMORY.about))
    assert found.arrays.keys() == MEMORY.arrays.keys()
    for name, array in MEMORY.arrays.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)
    assert (found.print, found.source) == (MEMORY.print, str(path))
    check(found, GENERATOR)
    assert [one.name for one in tmp_path.iterdir()] == ["verse.state.npz"]


def test_numpy_reads_it_without_pickle(tmp_path: Path) -> None:
    save_state(MEMORY, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["window.latents"], MEMORY.arrays["window.latents"])


def test_the_folder_knows_states_by_name(tmp_path: Path, monkeypatch) -> None:
    states = States(tmp_path)
    assert states.names() == []
    with pytest.raises(UsageError, match="no state 'verse'; there are: none"):
        states.load("verse")
    states.save("verse", MEMORY)
    assert states.path("verse") == tmp_path / f"verse{SUFFIX}"
    with pytest.raises(UsageError, match="no state 'b'; there are: verse"):
        states.load("b")
    monkeypatch.setattr(module, "MOST_STATES", 1)
    states.save("verse", MEMORY)
    with pytest.raises(UsageError, match="there are 1 already"):
        states.save("b", MEMORY)
    assert states.load("verse").print == MEMORY.print


@pytest.mark.parametrize("name", ["", "../up", "a/b", "x" * 41, "a b", "."])
def test_names_lead_nowhere_else(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="1 … 40 letters"):
        States(tmp_path).load(name)


def test_the_folder_is_made_where_there_can_be_one(tmp_path: Path) -> None:
    States(tmp_path / "new").save("a", MEMORY)
    assert States(tmp_path / "new").names() == ["a"]
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "no" / "folder"):
        with pytest.raises(UsageError, match="no folder can be there"):
            States(place)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "a.state.npz.part").mkdir()
    with pytest.raises(UsageError, match="cannot be written: Is a directory"):
        States(tmp_path).save("a", MEMORY)


def written(folder: Path) -> bytes:
    save_state(MEMORY, folder / "whole")
    return (folder / "whole").read_bytes()


@settings(max_examples=40)
@given(st.data())
def test_a_damaged_file_is_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("states")
    content = bytearray(written(folder))
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content = content[:place]
    else:
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    (folder / "damaged").write_bytes(content)
    try:
        found = load_state(folder / "damaged")
    except UsageError as error:
        assert "\n" not in str(error)
        return
    same = found.about == json.loads(json.dumps(MEMORY.about))  # a bit of the zip's own notes
    try:
        check(found, GENERATOR)
    except UsageError:
        return
    assert same
    assert found.print == MEMORY.print


def rewritten(path: Path, **changed: object) -> Path:
    about = {**MEMORY.about, **changed}
    save_state(Memory(about, MEMORY.arrays), path)
    return path


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"state": 2}, "has another format, this version reads 1"),
        ({"state": None}, "state is None"),
        ({"bundle": {"name": "x"}}, "bundle.version is missing"),
        ({"seed": -1}, "seed is -1"),
        ({"next": "9"}, "next is '9'"),
        ({"ideas": [1]}, r"ideas is \[1\]"),
        ({"ideas": {"bpm": [1]}}, "bpm"),
        ({"planner": {"index": "x"}}, "planner.index is 'x'"),
        ({"planner": {**PLANNER, "fresh": 1}}, "planner.fresh is no truth value"),
        (
            {"planner": {**PLANNER, "clock": [90.0]}},
            r"planner.clock is \[90.0\], it takes 3 numbers",
        ),
        ({"planner": {**PLANNER, "key": ["A", 1]}}, "planner.key is"),
        ({"prompts": [["a"]]}, "pairs of text and weight"),
    ],
)
def test_fields_are_read_with_distrust(tmp_path: Path, changed: dict, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        load_state(rewritten(tmp_path / "a", **changed))


def test_other_files_are_no_states(tmp_path: Path, monkeypatch) -> None:
    text = tmp_path / "text"
    text.write_text("hello")
    with pytest.raises(UsageError, match="no musical state, or damaged"):
        load_state(text)
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_state(tmp_path / "none")
    save_state(MEMORY, tmp_path / "a")
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    with pytest.raises(UsageError, match="over 0 MiB"):
        load_state(tmp_path / "a")


def test_pickled_objects_are_never_read(tmp_path: Path) -> None:
    evil = tmp_path / "evil.npy"
    np.save(evil, np.array([{"a": 1}], object), allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "evil", "w") as file:
        file.writestr(ABOUT, json.dumps(dict(MEMORY.about)))
        file.write(evil, "window.index.npy")
    with pytest.raises(UsageError, match="Object arrays cannot be loaded"):
        load_state(tmp_path / "evil")
