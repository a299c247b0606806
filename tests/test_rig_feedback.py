from engine.bundle import Bundle
from engine.controls import Controls
from engine.rig.feedback import Feedback


def test_each_change_is_told_once_as_fader_and_as_value(asked_bundle: Bundle) -> None:
    controls = Controls(asked_bundle.manifest.controls)
    feedback = Feedback(controls.specs)
    first = feedback.changes(controls.snapshot())
    assert len(first) == 2 * len(controls.specs)
    assert ("/value/bpm", "free") in first
    assert feedback.changes(controls.snapshot()) == []
    controls.update({"tonic": "F#", "density": 0.25, "gain_db": -27})
    assert feedback.changes(controls.snapshot()) == [
        ("/control/gain_db", 0.5),
        ("/value/gain_db", -27.0),
        ("/control/tonic", 6 / 11),
        ("/value/tonic", "F#"),
        ("/control/density", 0.25),
        ("/value/density", 0.25),
    ]
    feedback.forget()
    assert len(feedback.changes(controls.snapshot())) == len(first)


def test_the_last_place_is_told_to_who_is_new(asked_bundle: Bundle) -> None:
    controls = Controls(asked_bundle.manifest.controls)
    feedback = Feedback(controls.specs)
    for path, *arguments in (("/scene", "calm"), ("/beat", 2, 1), ("/state", "home")):
        feedback.told(path, *arguments)
    assert ("/state", "home") not in feedback.changes(controls.snapshot())
    feedback.forget()
    told = feedback.changes(controls.snapshot())
    assert ("/state", "home") in told and ("/scene", "calm") not in told
    assert feedback.changes(controls.snapshot()) == []
    feedback.forget()
    feedback.told("/scene", "wild")  # who is new has heard it, too
    assert ("/scene", "wild") not in feedback.changes(controls.snapshot())
