"""How cases of another Python are read: a small archive made like the published one."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from bench.autobahn import suite

pytest.importorskip("lib2to3")

CASE = b"""
class Case:
   OK = "OK"
   def __init__(self, protocol):
      self.p = protocol
"""
ONE = b"""
import binascii
from case import Case

class Case1_1_1(Case):
   PAYLOAD = '\xce\xba\\xff'
   DESCRIPTION = binascii.b2a_hex(PAYLOAD)
   def onOpen(self):
      print "sending", self.PAYLOAD
      self.sent = [n for n in xrange(3)]

Made = type("Case1_1_2", (object, Case, ), {})
"""
ALL = b"""
from case1_1_1 import *
from case12_x_x import *
from case9_9_1 import *
Cases = [Case1_1_1, Made]
Cases.extend(Case12_X_X)
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The members that matter, one that does not, and one that climbs out."""
    path = tmp_path / "suite.tar.gz"
    files = {"case.py": CASE, "case1_1_1.py": ONE, "__init__.py": ALL, "case9_9_1.py": b"1 +"}
    with tarfile.open(path, "w:gz") as made:
        for name, text in files.items():
            add(made, f"autobahntestsuite-1/autobahntestsuite/case/{name}", text)
        add(made, "autobahntestsuite-1/setup.py", b"raise SystemExit")
        add(made, "autobahntestsuite-1/autobahntestsuite/case/../../../out.py", b"")
    return path


def add(archive: tarfile.TarFile, name: str, text: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(text)
    archive.addfile(member, io.BytesIO(text))


def test_cases_are_read_with_a_character_for_every_byte(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    cases = suite.unpack(archive, folder)
    assert list(cases) == ["1.1.1", "1.1.2"]
    assert cases["1.1.1"].PAYLOAD == "\xce\xba\xff"
    assert cases["1.1.1"].DESCRIPTION == "cebaff"
    assert not list(tmp_path.rglob("out.py"))
    assert not list(tmp_path.rglob("setup.py"))
