from pathlib import Path

import pytest

from engine.controls import default_controls, prompting_controls
from engine.rig.addresses import HEARD, PREFIX, TOLD, Address, control_table, table
from engine.rig.orders import Tell
from engine.rig.osc import OscReader
from engine.spec import LadderSpec

PAGE = (Path(__file__).parent.parent / "docs" / "osc.md").read_text()
SPECS = (*default_controls(LadderSpec(10)), *prompting_controls(512))


def test_the_page_lists_what_the_code_understands_and_tells() -> None:
    assert table(HEARD) in PAGE
    assert table(TOLD) in PAGE
    assert control_table(SPECS) in PAGE


@pytest.mark.parametrize("address", HEARD, ids=lambda address: address.path)
def test_every_listed_address_is_known(address: Address) -> None:
    reader = OscReader({spec.name: spec for spec in SPECS}, dict)
    order = reader.order(PREFIX + address.path.replace("NAME", "bpm"), [])
    assert not isinstance(order, Tell) or "is not known" not in order.line


def test_what_the_rig_tells_is_listed() -> None:
    rig = Path(__file__).parent.parent / "engine" / "rig"
    code = "".join((rig / f"{name}.py").read_text() for name in ("desk", "shell", "feedback"))
    for address in TOLD:
        start = address.path.partition("NAME")[0]
        assert f'"{start}' in code, address.path
