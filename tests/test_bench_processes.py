"""bench.processes: a process with a child of its own."""

from __future__ import annotations

import math
import os
import subprocess
import sys

from bench.machine import memory_mb
from bench.processes import own_memory_mb, tree, tree_memory_mb

CHILD = "import subprocess, sys; print(1, flush=True); sys.stdin.read()"


def test_children_belong_to_the_tree_until_they_end() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.read(1)
        assert child.pid in tree(os.getpid())
        assert tree_memory_mb(os.getpid()) > memory_mb() + 1.0
        child.communicate()
    assert child.pid not in tree(os.getpid())


def test_a_process_that_is_gone_is_alone() -> None:
    assert tree(2**22 - 1) == [2**22 - 1]


def test_what_a_process_makes_is_its_own() -> None:
    before = own_memory_mb(os.getpid())
    made = bytearray(b"x" * 50_000_000)
    assert own_memory_mb(os.getpid()) - before > 40
    assert len(made) and math.isnan(own_memory_mb(2**22 - 1))
