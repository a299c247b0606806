import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.rig.orders import Restore, Save, Words
from engine.rig.show import Cue, Knob, Note, Scene, Show, load_show, read_show, save_show

FULL = {
    "show": 1,
    "quantise": "bar",
    "beats_per_bar": 3,
    "scenes": {
        "calm": {"controls": {"bpm": 80, "tonic": "A"}, "prompts": [{"text": "slow pads"}]},
        "wild": {"controls": {"density": None, "drums": True}, "prompts": []},
        "same": {},
    },
    "cues": [
        {"name": "opening", "scene": "calm", "at": {"time_s": 0}},
        {"scene": "wild", "quantise": "beat", "at": {"bar": 9}},
        {"scene": "calm", "at": {"osc": "/drop"}},
        {"scene": "wild", "at": {"midi": {"note": 36, "channel": 1}}},
        {"name": "by-name", "scene": "wild"},
    ],
    "knobs": [{"control": "density", "cc": 20, "channel": 1}, {"control": "bpm", "cc": 7}],
}


def reads(**fields: Any) -> Show:
    return read_show(json.dumps({"show": 1, **fields}))[0]


def test_everything_in_a_show_file_is_read() -> None:
    show, notes = read_show(json.dumps(FULL))
    assert notes == []
    assert (show.quantise, show.beats_per_bar) == ("bar", 3)
    assert show.scenes["calm"] == Scene({"bpm": 80.0, "tonic": "A"}, (Words("slow pads"),))
    assert show.scenes["wild"] == Scene({"density": None, "drums": 1.0}, ())
    assert show.scenes["same"] == Scene({}, None)
    assert show.cues == (
        Cue("opening", "calm", time_s=0.0),
        Cue("cue2", "wild", "beat", bar=9),
        Cue("cue3", "calm", osc="/drop"),
        Cue("cue4", "wild", note=Note(36, 1)),
        Cue("by-name", "wild"),
    )
    assert show.knobs == (Knob("density", 20, 1), Knob("bpm", 7))


def test_what_is_saved_is_read_back_equal(tmp_path: Path) -> None:
    show, _ = read_show(json.dumps(FULL))
    save_show(show, tmp_path / "show.json")
    assert load_show(tmp_path / "show.json") == (show, [])
    assert [path.name for path in tmp_path.iterdir()] == ["show.json"]


def test_unknown_fields_are_named_and_ignored() -> None:
    text = json.dumps(
        {
            "show": 1,
            "lights": True,
            "scenes": {"a": {"controls": {}, "colour": "red"}},
            "cues": [{"scene": "a", "at": {"bar": 2, "moon": 1}}],
        }
    )
    show, notes = read_show(text, "my.json")
    assert show.cues == (Cue("cue1", "a", bar=2),)
    assert notes == [
        "my.json.lights is not known: ignored",
        "my.json.scenes.a.colour is not known: ignored",
        "my.json.cues[0].at.moon is not known: ignored",
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"show": 1,\n  "scenes": {,}}', r"my\.json, line 2, column 14"),
        ("", r"my\.json, line 1, column 1"),
        ('{"show": 1', r"my\.json, line 1, column 11"),
    ],
)
def test_broken_json_is_refused_with_line_and_column(text: str, place: str) -> None:
    with pytest.raises(UsageError, match=place):
        read_show(text, "my.json")


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"show": 2}, "show is 2, this version reads 1"),
        ({"quantise": "soon"}, "quantise is 'soon', it takes one of now, beat, bar"),
        ({"scenes": []}, r"scenes is \[\], it takes an object"),
        ({"scenes": {"a b": {}}}, "name 'a b', it takes 1 … 40 letters"),
        ({"scenes": {"a": {"controls": {"bpm": []}}}}, r"controls.bpm is \[\], it takes a number"),
        ({"scenes": {"a": {"prompts": [{"weight": 1}]}}}, r"prompts\[0\].text is missing"),
        ({"cues": [{"scene": "a"}]}, "cue cue1 names scene 'a'; known: none"),
        ({"cues": [{}]}, r"cues\[0\].scene is missing, it takes a text"),
        ({"cues": [{"scene": "a", "at": {"bar": 0}}]}, "at.bar is 0, it takes a whole number 1"),
        ({"cues": [{"scene": "a", "at": {"bar": 1, "osc": "/x"}}]}, "a cue has one moment"),
        ({"cues": [{"scene": "a", "at": {"osc": "x"}}]}, "it takes an address"),
        ({"cues": [{"scene": "a", "save": "b"}]}, "names two of scene, save and restore"),
        ({"cues": [{"restore": "a", "save": "b"}]}, "names two of scene, save and restore"),
        ({"cues": [{"restore": "../a"}]}, "1 … 40 letters"),
        ({"cues": [{"scene": "a", "at": {"midi": {"note": 128}}}]}, "note is 128"),
        ({"knobs": [{"control": "bpm", "cc": 120}]}, "cc is 120, it takes a whole number 0 … 119"),
        (
            {"scenes": {"a": {}}, "cues": [{"name": "x", "scene": "a"}] * 2},
            "two cues are called x",
        ),
    ],
)
def test_what_is_wrong_is_named_in_one_line(fields: dict[str, Any], line: str) -> None:
    with pytest.raises(UsageError, match=line) as refused:
        reads(**fields)
    assert "\n" not in str(refused.value)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["show", "scenes", "cues", "knobs", "at", "midi", "controls", "a"]), inner
    ),
    max_leaves=20,
))  # fmt: skip
def test_whatever_is_in_it_is_a_show_or_one_line(value: object) -> None:
    try:
        read_show(json.dumps(value))
    except UsageError as refused:
        assert "\n" not in str(refused)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_show(tmp_path / "none.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        load_show(tmp_path / "bytes.json")
    with pytest.raises(UsageError, match="cannot be written"):
        save_show(Show(), tmp_path / "no" / "show.json")


def test_cues_save_and_restore_states() -> None:
    cues = [
        {"name": "keep", "save": "verse", "at": {"bar": 8}},
        {"name": "back", "restore": "verse", "quantise": "bar", "at": {"midi": {"note": 40}}},
    ]
    show, notes = read_show(json.dumps({"show": 1, "cues": cues}))
    assert notes == []
    assert [cue.order for cue in show.cues] == [Save("verse"), Restore("verse", "bar")]
    assert read_show(json.dumps(show.to_json()))[0] == show
