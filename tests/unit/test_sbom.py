"""The lock is that of what is pinned, and the bill of materials that of the lock.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def sbom(root: Path) -> ModuleType:
    """Return the program as a module."""
    spec = importlib.util.spec_from_file_location("sbom", root / "deploy/sbom.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_lock_is_held_against_what_is_pinned(root: Path, sbom: ModuleType) -> None:
    """`make sbom` does so first: a lock of yesterday's pins says nothing of today's."""
    locked = (root / "deploy/requirements.lock").read_text(encoding="utf-8")
    pinned = "".join(line.split(" ")[0] + "\n" for line in locked.splitlines() if line[:1] != "#")
    assert len(sbom.pins(pinned)) > 40
    sbom.check(locked, sbom.pins(pinned))
    with pytest.raises(ValueError, match=r"deploy/requirements.lock: not as pinned: .*; run make lock"):
        sbom.check(locked, sbom.pins(pinned + "another==1.0\n"))
    with pytest.raises(ValueError, match="numpy"):
        sbom.check(locked, sbom.pins(pinned) | {"numpy": "0.1"})


def test_the_bill_of_materials_is_that_of_the_lock(root: Path, tmp_path: Path) -> None:
    """CycloneDX 1.5: https://cyclonedx.org/docs/1.5/json."""
    lock = root / "deploy/requirements.lock"
    pinned = tmp_path / "requirements.txt"
    pinned.write_text(
        "".join(f"{line.split()[0]}\n" for line in lock.read_text().splitlines() if line[:1] != "#"), encoding="utf-8"
    )
    command = [sys.executable, str(root / "deploy/sbom.py"), "bom", str(lock), str(pinned)]
    texts = [subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout for _ in range(2)]
    assert texts[0] == texts[1]
    made = json.loads(texts[0])
    assert (made["bomFormat"], made["specVersion"], made["version"]) == ("CycloneDX", "1.5", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", made["serialNumber"])
    refs = [part["bom-ref"] for part in made["components"]]
    assert len(refs) == len(set(refs)) > 40
    assert made["dependencies"][0]["dependsOn"] == refs
    for part in made["components"]:
        assert part["purl"] == f"pkg:pypi/{part['name']}@{part['version']}"
        assert re.fullmatch("[0-9a-f]{64}", part["hashes"][0]["content"])


def test_what_is_not_as_pinned_is_refused(sbom: ModuleType) -> None:
    """A lock of other versions would be worse than none."""
    item = {"metadata": {"name": "Py_YAML", "version": "6.0"},
            "download_info": {"archive_info": {"hashes": {"sha256": "a" * 64}}}}  # fmt: skip
    assert sbom.lock({"install": [item]}, {"py-yaml": "6.0"}).endswith(f"py-yaml==6.0 --hash=sha256:{'a' * 64}\n")
    for wanted in ({"py-yaml": "6.1"}, {}, {"py-yaml": "6.0", "other": "1"}):
        with pytest.raises(ValueError, match="not as pinned"):
            sbom.lock({"install": [item]}, wanted)
    with pytest.raises(ValueError, match="NAME==VERSION is wanted"):
        sbom.pins("pyyaml>=6")
    with pytest.raises(ValueError, match="lines that are none"):
        sbom.bom("pyyaml==6.0\n", "0")
