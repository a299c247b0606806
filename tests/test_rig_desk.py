from pathlib import Path

import numpy as np
import pytest

from engine.bundle import Bundle
from engine.controls import Controls
from engine.errors import UsageError
from engine.memory import Memory
from engine.rig.desk import Desk
from engine.rig.orders import (
    Downbeat,
    Fire,
    Hush,
    Learned,
    Panic,
    Quantise,
    Recall,
    Restore,
    Save,
    SetControls,
    SetPrompts,
    Store,
    Tell,
    Tempo,
    Words,
)
from engine.rig.show import Cue, Knob, Scene, Show, load_show

RATE = 24000
CALM = Scene({"bpm": 60.0, "density": 0.2, "gain_db": -6.0}, (Words("slow pads"),))
PLACE = np.array([1, 0], np.float32)


@pytest.fixture
def controls(asked_bundle: Bundle) -> Controls:
    return Controls(asked_bundle.manifest.controls)


def desk_of(controls: Controls, show: Show | None = None, **more) -> Desk:
    return Desk(controls, RATE, show=show, embed=lambda _: PLACE, **more)


def errors(desk: Desk) -> list[str]:
    return [str(tale[1]) for tale in desk.tales() if tale[0] == "/error"]


def test_a_change_is_made_at_once(controls: Controls) -> None:
    desk = desk_of(controls)
    desk.take(SetControls({"density": 0.5, "gain_db": -3.0}))
    now = controls.snapshot()
    assert (now.values["density"], now.values["gain_db"]) == (0.5, -3.0)


def test_ideas_wait_for_what_is_made_and_hands_for_what_is_played(controls: Controls) -> None:
    desk = desk_of(controls)
    desk.take(Quantise("bar"))
    desk.take(SetControls({"density": 0.5, "gain_db": -3.0, "hold": 1}))
    desk.made(47999)
    assert controls.snapshot().revision == 0
    desk.made(48000)
    now = controls.snapshot().values
    assert (now["density"], now["hold"], now["gain_db"]) == (0.5, 1.0, 0.0)
    desk.played(47000, 0.0)
    assert controls.snapshot().values["gain_db"] == 0.0
    desk.played(48100, 0.0)
    assert controls.snapshot().values["gain_db"] == -3.0


def test_the_beat_follows_the_bpm_control(controls: Controls) -> None:
    desk = desk_of(controls)
    controls.set("bpm", 60)
    desk.made(0)
    desk.take(Quantise("beat"))
    desk.take(SetControls({"density": 0.5}))
    desk.made(23999)
    assert controls.snapshot().values["density"] is None
    desk.made(24000)
    assert controls.snapshot().values["density"] == 0.5


def test_a_scene_is_recalled_whole_and_told(controls: Controls) -> None:
    desk = desk_of(controls, Show({"calm": CALM}))
    desk.take(Recall("calm"))
    now = controls.snapshot()
    assert (now.values["bpm"], now.values["gain_db"]) == (60.0, -6.0)
    assert now.prompt is not None
    np.testing.assert_array_equal(now.prompt, PLACE)
    assert desk.tales() == [("/scene", "calm")]


def test_a_recall_on_the_bar_changes_nothing_before(controls: Controls) -> None:
    desk = desk_of(controls, Show({"calm": CALM}, quantise="bar"))
    desk.take(Recall("calm"))
    desk.made(40000)
    assert controls.snapshot().revision == 0
    desk.made(50000)
    desk.played(50000, 0.0)
    assert controls.snapshot().values["gain_db"] == -6.0
    assert ("/scene", "calm") in desk.tales()


def test_cues_come_by_time_by_bar_and_by_name(controls: Controls) -> None:
    scenes = {name: Scene({"seed": seed}) for name, seed in (("a", 1), ("b", 2), ("c", 3))}
    cues = (Cue("one", "a", time_s=1.0), Cue("two", "b", bar=2), Cue("three", "c"))
    desk = desk_of(controls, Show(scenes, cues))
    seeds = []
    for sample in range(0, 72000, 4000):
        desk.made(sample)
        seeds.append(controls.snapshot().values["seed"])
    assert [seeds.index(1.0), seeds.index(2.0)] == [6, 12]
    desk.take(Fire("three"))
    assert controls.snapshot().values["seed"] == 3


def test_a_cue_with_a_unit_waits_for_it(controls: Controls) -> None:
    cues = (Cue("one", "a", unit="bar", time_s=1.0),)
    desk = desk_of(controls, Show({"a": Scene({"seed": 1})}, cues))
    for sample in (0, 24000, 47000):
        desk.made(sample)
    assert controls.snapshot().revision == 0
    desk.made(48000)
    assert controls.snapshot().values["seed"] == 1


def test_panic_never_waits_and_a_hush_comes_with_the_bar(controls: Controls) -> None:
    desk = desk_of(controls)
    desk.take(Quantise("bar"))
    desk.take(Panic())
    assert controls.snapshot().values["panic"] == 1
    desk.take(Panic(False))
    desk.take(Hush())
    desk.played(47000, 0.0)
    assert controls.snapshot().values["fade"] == 0
    desk.played(48000, 0.0)
    assert controls.snapshot().values["fade"] == 0.3


def test_a_dated_order_is_done_at_its_time(controls: Controls) -> None:
    desk = desk_of(controls)
    desk.later(5.0, SetControls({"density": 0.5}))
    desk.played(0, 4.9)
    assert controls.snapshot().revision == 0
    desk.played(0, 5.0)
    assert controls.snapshot().values["density"] == 0.5


def test_a_midi_clock_sets_bpm_and_the_downbeat(controls: Controls) -> None:
    desk = desk_of(controls)
    desk.take(Tempo(90.0))
    assert controls.snapshot().values["bpm"] == 90
    desk.played(30000, 0.0)
    desk.take(Downbeat())
    assert desk.clock.beat_at(30000) % 4 == 0
    desk.take(Tempo(500.0))
    assert errors(desk) == ["bpm is 500.0, it takes 40 … 220 bpm"]


def test_without_a_bpm_control_the_clock_still_follows(bundle: Bundle) -> None:
    desk = Desk(Controls(bundle.manifest.controls), RATE)
    desk.take(Tempo(90.0))
    assert desk.clock.bpm == 90


@pytest.mark.parametrize(
    ("order", "line"),
    [
        (SetControls({"density": 0.5, "volume": 1}), "no control 'volume'"),
        (SetControls({"density": 0.5, "brightness": 7}), "brightness is 7, it takes 0 … 1"),
        (Recall("none"), "no scene 'none'; there are: calm"),
        (Fire("none"), "no cue 'none'; there are: none"),
        (Tell("a line"), "a line"),
        (Store("a b"), "it takes 1 … 40 letters"),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(controls: Controls, order, line) -> None:
    desk = desk_of(controls, Show({"calm": CALM}))
    desk.take(order)
    assert controls.snapshot().revision == 0
    (told,) = errors(desk)
    assert line in told


def test_prompts_need_a_bundle_that_takes_them(controls: Controls) -> None:
    desk = Desk(controls, RATE)
    desk.take(SetPrompts((Words("rain"),)))
    assert errors(desk) == ["this bundle takes no prompts"]
    desk = desk_of(controls)
    desk.take(SetPrompts((Words("rain"),)))
    assert controls.snapshot().prompt is not None
    desk.take(SetPrompts(()))
    assert controls.snapshot().prompt is None


@pytest.mark.parametrize(
    ("show", "line"),
    [
        (Show({"a": Scene({"volume": 1.0})}), "scene a: no control 'volume'"),
        (Show({"a": Scene({"bpm": 500.0})}), "scene a: bpm is 500.0"),
        (Show({"a": Scene({}, (Words(""),))}), "scene a: prompt: text is empty"),
        (Show(knobs=(Knob("volume", 7),)), "knob 7: no control 'volume'"),
    ],
)
def test_a_show_that_cannot_be_played_is_refused_at_the_start(controls, show, line) -> None:
    with pytest.raises(UsageError, match=line):
        desk_of(controls, show)


def test_stored_scenes_and_learned_knobs_go_to_the_show_file(
    controls: Controls, tmp_path: Path
) -> None:
    path = tmp_path / "show.json"
    desk = desk_of(controls, show_path=path)
    desk.take(SetPrompts((Words("rain"),)))
    desk.take(SetControls({"bpm": 77, "gain_db": -9}))
    desk.take(Store("mine"))
    desk.take(Learned("bpm", 20, 1))
    desk.take(Learned("density", 20, 1))
    show, notes = load_show(path)
    assert notes == []
    assert show.scenes["mine"].controls["bpm"] == 77
    assert "gain_db" not in show.scenes["mine"].controls  # a hand belongs to the moment
    assert show.scenes["mine"].prompts == (Words("rain"),)
    assert show.knobs == (Knob("density", 20, 1),)
    assert ("/learned", "bpm", 20, 1) in desk.tales()
    again = desk_of(Controls(controls.specs.values()), show)
    again.take(Recall("mine"))
    assert again.controls.snapshot().values["bpm"] == 77


def test_prompts_that_came_from_elsewhere_are_not_stored_as_ours(controls: Controls) -> None:
    desk = desk_of(controls)
    controls.set_prompt(np.array([0, 1], np.float32))
    desk.take(Store("mine"))
    assert desk.show.scenes["mine"].prompts is None
    assert "without its prompts" in str(desk.tales())


def test_beats_are_told(controls: Controls) -> None:
    desk = desk_of(controls)
    for sample in range(0, 72000, 1000):
        desk.played(sample, 0.0)
    assert desk.tales() == [("/beat", 1, 2), ("/beat", 1, 3), ("/beat", 1, 4), ("/beat", 2, 1),
                            ("/beat", 2, 2)]  # fmt: skip


def test_a_show_that_cannot_be_written_is_told_and_still_held(controls, tmp_path: Path) -> None:
    desk = desk_of(controls, show_path=tmp_path / "no" / "show.json")
    desk.take(Store("mine"))
    assert "mine" in desk.show.scenes
    (told,) = errors(desk)
    assert "cannot be written" in told


# ---- musical states and the prompts of others ---------------------------------------------------


class Shelf:
    """Memories that read and write nothing."""

    def __init__(self) -> None:
        self.saved: list[tuple[str, object]] = []
        self.recalled: list[Memory] = []
        self.read = 0
        self.kept = Memory({"prompts": [["rain", 1.0]]}, {"prompt": PLACE})
        self.fault = ""

    def begin_save(self, name, words, tell) -> None:
        self.saved.append((name, words))
        tell("/note", f"state {name} is saved")

    def begin_load(self, name, then, tell) -> None:
        self.read += 1
        then(self.kept)

    def recall(self, memory, failed) -> None:
        self.recalled.append(memory)
        if self.fault:
            failed(UsageError(self.fault))


def test_a_state_is_saved_with_its_words_and_restored_on_the_bar(controls: Controls) -> None:
    shelf, told = Shelf(), []
    desk = desk_of(controls, memories=shelf)
    desk.prompted = told.append
    desk.take(SetPrompts((Words("slow", 0.5),)))
    desk.take(Save("verse"))
    assert shelf.saved == [("verse", (("slow", 0.5),))]
    desk.take(Quantise("bar"))
    desk.take(Restore("verse"))
    desk.made(47999)
    assert (shelf.read, shelf.recalled) == (1, [])  # read at once, gone on from later
    desk.made(48000)
    assert shelf.recalled == [shelf.kept]
    assert desk.prompts == (Words("rain"),)
    assert told == [(Words("slow", 0.5),), (Words("rain"),)]
    assert ("/state", "verse") in desk.tales()


def test_where_a_restore_will_be_heard(controls: Controls) -> None:
    desk = desk_of(controls, memories=Shelf())
    desk.made(10000)
    assert desk.turn("verse", Shelf().kept) == 10000
    desk.take(Quantise("bar"))
    assert desk.turn("verse", Shelf().kept) == 48000


def test_a_restore_that_fails_is_told(controls: Controls) -> None:
    shelf = Shelf()
    shelf.fault = "another seed"
    desk = desk_of(controls, memories=shelf)
    desk.take(Restore("verse"))
    assert errors(desk) == ["another seed"]


def test_without_a_place_for_states(controls: Controls) -> None:
    desk = desk_of(controls)
    desk.take(Save("verse"))
    desk.take(Restore("verse"))
    assert all("--states" in line for line in errors(desk))
    with pytest.raises(UsageError, match="cue back needs a place for states"):
        desk_of(controls, Show(cues=(Cue("back", restore="verse"),)))


def test_cues_save_and_restore(controls: Controls) -> None:
    cues = (
        Cue("keep", time_s=1.0, save="verse"), Cue("back", bar=2, restore="verse"),
        Cue("later", unit="bar", restore="verse"),
    )  # fmt: skip
    shelf = Shelf()
    desk = desk_of(controls, Show(cues=cues, quantise="beat"), memories=shelf)
    found = []
    for sample in range(0, 60000, 4000):
        desk.made(sample)
        found.append((len(shelf.saved), len(shelf.recalled)))
    assert found.index((1, 0)) == 6
    assert found.index((1, 1)) == 12  # at its very bar, whatever the desk waits for
    desk.take(Fire("later"))
    desk.made(95000)
    assert len(shelf.recalled) == 1
    desk.made(96000)
    assert len(shelf.recalled) == 2


def test_prompts_of_others_are_known(controls: Controls) -> None:
    desk = desk_of(controls)
    other = np.array([0, 1], np.float32)
    controls.set_prompt(other)
    assert desk.words is None
    desk.heard_prompts((Words("from the page"),), other)
    assert desk.words == (("from the page", 1.0),)
    desk.take(Store("mine"))
    assert desk.show.scenes["mine"].prompts == (Words("from the page"),)
