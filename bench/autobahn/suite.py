"""The cases of the Autobahn test suite, fetched from PyPI and read by a Python of today.

The published suite is Python 2. Its cases are small classes that say what is sent and what is
expected; those are translated mechanically (lib2to3) into a folder that is thrown away, and
driven by `bench.autobahn.player` instead of the suite's own client. Nothing of it is kept.

A `str` of the cases is bytes there. Their sources are read as Latin-1, so that it stays one
character a byte, and the player encodes it that way.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tarfile
import warnings
from pathlib import Path
from typing import Any

from engine.errors import NetworkError, UsageError

PACKAGE = "autobahntestsuite==25.10.1"
CASES = re.compile(r"[^/]+/autobahntestsuite/case/(\w+\.py)")
LEFT_OUT = ("case9_9_1.py", "case12_x_x.py")
"""A producer of Twisted's that the suite itself leaves out; compression, which we never offer."""

PROTOCOL = """class WebSocketProtocol:
    STATE_OPEN = "open"
    STATE_CLOSED = "closed"
    CLOSE_STATUS_CODE_NORMAL = 1000
    CLOSE_STATUS_CODE_PROTOCOL_ERROR = 1002
    CLOSE_STATUS_CODE_INVALID_PAYLOAD = 1007
"""
VALIDATOR = """class Utf8Validator:
    def reset(self):
        pass
    def validate(self, text):
        try:
            text.encode("latin-1").decode()
        except UnicodeDecodeError:
            return False, False
        return True, True
"""
HEX = "def b2a_hex(text):\n    return text.encode('latin-1').hex()\n"
CHANGES = (
    ("import binascii", "import cases_hex as binascii"),
    ("(object, Case, )", "(Case, )"),
    ("len(self.payload) / self.p", "len(self.payload) // self.p"),
    ("from case12_x_x import *", "Case12_X_X = Case13_X_X = []\n"
     "Case12_X_X_CaseSubCategories = Case13_X_X_CaseSubCategories = {}"),
    ("from case9_9_1 import *", ""),
)  # fmt: skip


def fetch(folder: Path) -> Path:
    """The published source in this folder; NetworkError if it cannot be had."""
    command = [
        sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet",
        "--no-deps", "--no-binary", ":all:", "--dest", str(folder), PACKAGE,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = sorted(folder.glob("autobahntestsuite-*.tar.gz"))
    if done.returncode or not found:
        last = (done.stderr.strip().splitlines() or ["no archive came"])[-1]
        raise NetworkError(f"{PACKAGE} cannot be fetched from the package index: {last}")
    return found[0]


def unpack(archive: Path, folder: Path) -> dict[str, type[Any]]:
    """The case classes by their ids, translated below this folder."""
    (folder / "autobahn" / "websocket").mkdir(parents=True)
    (folder / "autobahn" / "websocket" / "protocol.py").write_text(PROTOCOL, encoding="utf-8")
    (folder / "autobahn" / "websocket" / "utf8validator.py").write_text(VALIDATOR)
    (folder / "cases_hex.py").write_text(HEX, encoding="utf-8")
    package = folder / "autobahn_cases"
    package.mkdir()
    with tarfile.open(archive) as opened:
        for member in opened:
            named = CASES.fullmatch(member.name)
            file = opened.extractfile(member) if named and named[1] not in LEFT_OUT else None
            if named is not None and file is not None:
                (package / named[1]).write_text(file.read().decode("latin-1"), encoding="utf-8")
    translate(package)
    return load(folder)


def translate(package: Path) -> None:
    """Python 2 to 3, and what lib2to3 does not know; UsageError where Python has it no more."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from lib2to3.refactor import RefactoringTool, get_fixers_from_package
    except ImportError:
        raise UsageError(
            "translating the suite needs lib2to3, which Python has up to 3.12: run it there"
        ) from None
    tool = RefactoringTool(get_fixers_from_package("lib2to3.fixes"))
    for path in sorted(package.glob("*.py")):
        source = path.read_text(encoding="utf-8").replace("# coding=utf-8", "")
        for old, new in CHANGES:
            source = source.replace(old, new)
        path.write_text(str(tool.refactor_string(source + "\n", str(path))), encoding="utf-8")


def load(folder: Path) -> dict[str, type[Any]]:
    """The classes by ids such as "6.4.1", in the suite's order."""
    sys.path.insert(0, str(folder))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cases = importlib.import_module("autobahn_cases").Cases
    finally:
        sys.path.remove(str(folder))
    return {one.__name__.removeprefix("Case").replace("_", "."): one for one in cases}
