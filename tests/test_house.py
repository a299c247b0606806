from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
PROJECT = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")


def targets() -> set[str]:
    """Targets of the Makefile that `make` prints."""
    done = subprocess.run(["make"], cwd=HOUSE, capture_output=True, text=True, check=True)
    return {line.split()[0] for line in done.stdout.splitlines()}


def test_make_prints_every_command() -> None:
    wanted = {"play", "test", "style", "types", "layers", "bench", "quality", "train", "clean"}
    assert wanted | {"corpus", "train-autoencoder", "train-velocity", "export"} <= targets()


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_only_targets_that_exist(page: str) -> None:
    words = re.findall(r"(?:^|`)make ([a-z- ]+)", (HOUSE / page).read_text(), re.MULTILINE)
    named = {target for line in words for target in line.split("  ")[0].split()}
    assert named <= targets()


@pytest.mark.parametrize("page", PAGES)
def test_links_of_the_pages_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (HOUSE / page).read_text())
    missing = [link for link in links if "://" not in link and not (HOUSE / link).exists()]
    assert not missing


def test_the_file_tree_of_the_readme_is_true() -> None:
    tree = (HOUSE / "README.md").read_text().partition("## What is where")[2].split("```")[1]
    above = HOUSE
    for line in tree.strip().splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            above = HOUSE / name
        path = above / name if line.startswith(" ") else above
        assert path.exists() or name == "bundles/live/", line  # weights may come later


def test_the_changelog_knows_this_version() -> None:
    assert f"## {PROJECT['version']}" in (HOUSE / "CHANGELOG.md").read_text()


def test_the_licence_is_the_one_that_is_named() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License\n" in (HOUSE / "LICENSE").read_text()


def test_the_ci_runs_what_the_makefile_spells() -> None:
    run = HOUSE / ".ci" / "run"
    assert run.stat().st_mode & 0o111
    checks = re.search(r"for check in ([a-z ]+);", run.read_text())
    assert checks and set(checks[1].split()) <= targets()
