"""What the Debian package is made of; its life in a fresh system is `make deb-check`.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import importlib.util
import itertools
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from hwgw.cli import VERBS

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(params=["deb", "man"])
def program(request: pytest.FixtureRequest, root: Path) -> ModuleType:
    """Return a program of deploy/ as a module."""
    spec = importlib.util.spec_from_file_location(request.param, root / f"deploy/{request.param}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


needs_dpkg = pytest.mark.skipif(not shutil.which("dpkg-parsechangelog"), reason="needs dpkg-dev")


@needs_dpkg
@pytest.mark.parametrize("program", ["deb"], indirect=True)
def test_a_package_of_the_tree_is_newer_than_one_before_and_older_than_the_release(
    program: ModuleType, tmp_path: Path
) -> None:
    """dpkg is the judge."""
    log = "## [Unreleased]\n\n## [0.0.9] - 2026-01-01\n"
    versions = ["0.0.9", *(program.version_of("0.1.0", log, COMMIT, at) for at in (1_700_000_000, 1_700_000_001))]
    versions.append(program.version_of("0.1.0", f"## [0.1.0] - 2026-12-01\n{log}", COMMIT, 1_800_000_000))
    assert versions[-1] == "0.1.0"
    for older, newer in itertools.pairwise(versions):
        subprocess.run(["dpkg", "--compare-versions", older, "lt", newer], check=True)
    file = tmp_path / "changelog"
    file.write_text(program.changelog_of(versions[1], COMMIT, 1_700_000_000), encoding="utf-8")
    done = subprocess.run(
        ["dpkg-parsechangelog", "-l", file, "-S", "Version"], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == (f"{versions[1]}\n", "")


@pytest.mark.skipif(not shutil.which("man"), reason="needs man")
@pytest.mark.parametrize("program", ["man"], indirect=True)
def test_the_manual_has_every_verb_and_roff_finds_nothing_wrong_with_it(program: ModuleType, tmp_path: Path) -> None:
    """Of hwgw(1), which is made from the command line."""
    page = tmp_path / "hwgw.1"
    page.write_text(program.page(), encoding="utf-8")
    wide = {"LC_ALL": "C.UTF-8", "MANWIDTH": "120"}
    done = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True, check=True, env=wide)
    assert done.stderr == ""
    assert {verb for verb in VERBS if f"   hwgw {verb}" not in done.stdout} == set()
    assert "--control" in done.stdout


def test_scripts_of_the_package_can_be_read_by_the_shell(root: Path) -> None:
    """And what it carries from deploy/ is there."""
    for script in ("hwgw.postinst", "hwgw.prerm", "hwgw.postrm"):
        subprocess.run(["sh", "-n", root / "deploy/debian" / script], check=True)
    for script in (root / "deploy/deb_check.sh", root / "deploy/deps.sh"):
        subprocess.run(["bash", "-n", script], check=True)
    for name in ("docs", "examples"):
        for pattern in (root / f"deploy/debian/hwgw.{name}").read_text(encoding="utf-8").split():
            assert list(root.glob(pattern)), pattern
