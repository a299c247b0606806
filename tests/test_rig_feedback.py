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
