from pathlib import Path

import numpy as np
import pytest

from engine.backends import standin
from engine.bundle import Bundle
from engine.controls import Controls
from engine.errors import UsageError
from engine.generator import Generator
from engine.rig.desk import Desk
from engine.rig.keeper import Keeper
from engine.rig.memories import Memories
from engine.rig.orders import Quantise, SetPrompts, Words
from engine.rig.states import States


def test_listeners_save_and_restore_by_way_of_the_desk(
    asked_bundle: Bundle, tmp_path: Path
) -> None:
    generator = Generator(asked_bundle, standin.StandIn(asked_bundle))
    controls = Controls(asked_bundle.manifest.controls)
    memories = Memories(States(tmp_path), generator, controls)
    turned: list[bool] = []
    memories.between_ticks = lambda errand: turned.append(errand(generator))
    place = np.zeros(asked_bundle.manifest.prompting.embedding, np.float32)
    place[0] = 1.0
    desk = Desk(controls, 24000, embed=lambda _: place, memories=memories)
    keeper = Keeper(memories, desk)
    desk.take(SetPrompts((Words("slow"),)))
    desk.made(7680)
    generator.tick(controls.snapshot())
    assert keeper.save("verse") == 7680
    assert States(tmp_path).load("verse").words == (("slow", 1.0),)
    first = generator.tick(controls.snapshot()).audio
    desk.take(SetPrompts(()))
    desk.take(Quantise("bar"))
    assert keeper.restore("verse") == 48000
    assert turned == [False]
    desk.made(48000)
    assert turned == [False, True]
    assert desk.words == (("slow", 1.0),)
    np.testing.assert_array_equal(generator.tick(controls.snapshot()).audio, first)
    with pytest.raises(UsageError, match="no state 'chorus'; there are: verse"):
        keeper.restore("chorus")
    memories.close()
