"""Pinned packages with their hashes, and a bill of materials (CycloneDX 1.5) made from them.

SPDX-License-Identifier: MIT

    python deploy/sbom.py lock REPORT.json requirements.txt > deploy/requirements.lock   (make lock; REPORT is pip's)
    python deploy/sbom.py bom deploy/requirements.lock requirements.txt > dist/hwgw.cdx.json              (make sbom)
    python deploy/sbom.py part deploy/requirements.lock 'hwgw[top]' > FILE    (what an installed package needs, locked)

A lock line is NAME==VERSION --hash=sha256:..., as pip install --require-hashes reads it. The hashes are of the files
that pip took for the platform and Python that made the lock.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

HEAD = "# Made by `make lock` from requirements.txt; edits are lost. pip install --require-hashes -r this file\n"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;#]+)$")
_LOCK = re.compile(r"^([A-Za-z0-9._-]+)==(\S+) --hash=sha256:([0-9a-f]{64})$")


def plain(name: str) -> str:
    """A package's name as indexes write it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text: str) -> dict[str, str]:
    """Name and version of every line; ValueError for a line that pins nothing."""
    found = {}
    for line in text.splitlines():
        bare = line.split("#", 1)[0].strip()
        if not bare:
            continue
        match = _PIN.match(bare)
        if not match:
            raise ValueError(f"{bare}: NAME==VERSION is wanted")
        found[plain(match[1])] = match[2]
    return found


def lock(report: dict[str, Any], wanted: dict[str, str]) -> str:
    """The lock of what pip would install; ValueError when that is not what is pinned."""
    hashes = {}
    for item in report["install"]:
        name, version = plain(item["metadata"]["name"]), item["metadata"]["version"]
        hashes[name] = (version, item["download_info"]["archive_info"]["hashes"]["sha256"])
    wrong = {name for name in wanted if hashes.get(name, ("",))[0] != wanted[name]} | set(hashes) - set(wanted)
    if wrong:
        raise ValueError(f"not as pinned: {', '.join(sorted(wrong))}")
    return HEAD + "".join(
        f"{name}=={version} --hash=sha256:{digest}\n" for name, (version, digest) in sorted(hashes.items())
    )


def check(locked: str, wanted: dict[str, str]) -> None:
    """ValueError when a lock is not that of what is pinned."""
    there = {match[1]: match[2] for line in locked.splitlines() if (match := _LOCK.match(line))}
    if wrong := {name for name in there.keys() | wanted.keys() if there.get(name) != wanted.get(name)}:
        raise ValueError(f"deploy/requirements.lock: not as pinned: {', '.join(sorted(wrong))}; run make lock")


def part(locked: str, wanted: str) -> str:
    """The lines of a lock that an installed package needs with its extras, itself excepted."""
    lines = {match[1]: line for line in locked.splitlines() if (match := _LOCK.match(line))}
    found: dict[str, set[str]] = {}
    ahead = [Requirement(wanted)]
    while ahead:
        one = ahead.pop()
        name, extras = plain(one.name), one.extras or {""}
        if extras <= found.get(name, set()):
            continue
        found.setdefault(name, set()).update(extras)
        for text in metadata.requires(name) or ():
            inner = Requirement(text)
            if not inner.marker or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                ahead.append(inner)
    del found[plain(Requirement(wanted).name)]
    if missing := found.keys() - lines.keys():
        raise ValueError(f"not in the lock: {', '.join(sorted(missing))}")
    return HEAD + "".join(f"{lines[name]}\n" for name in sorted(found))


def _licence(name: str) -> list[dict[str, Any]]:
    """What an installed package says of its licence; an expression, or a name that is no list of identifiers."""
    try:
        said = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return []
    if expression := said.get("License-Expression"):
        return [{"expression": expression}]
    text = (said.get("License") or "").strip().splitlines()
    return [{"license": {"name": text[0][:100]}}] if text and text[0] else []


def bom(locked: str, version: str) -> dict[str, Any]:
    """The bill of materials; the same lock gives the same one, its serial number too."""
    rows = [match.groups() for line in locked.splitlines() if (match := _LOCK.match(line))]
    if len(rows) != sum(bool(line) and not line.startswith("#") for line in locked.splitlines()) or not rows:
        raise ValueError("the lock has lines that are none, or no lines")
    components = []
    for name, number, digest in rows:
        purl = f"pkg:pypi/{name}@{number}"
        part: dict[str, Any] = {"type": "library", "bom-ref": purl, "name": name, "version": number, "purl": purl,
                                "hashes": [{"alg": "SHA-256", "content": digest}]}  # fmt: skip
        if licences := _licence(name):
            part["licenses"] = licences
        components.append(part)
    root = f"pkg:generic/hwgw@{version}"
    return {
        "bomFormat": "CycloneDX", "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, root + locked)}", "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": root, "name": "hwgw", "version": version,
                                   "licenses": [{"license": {"id": "MIT"}}]}},
        "components": components,
        "dependencies": [{"ref": root, "dependsOn": [part["bom-ref"] for part in components]}],
    }  # fmt: skip


def main(argv: list[str]) -> int:
    """Write a lock or a bill of materials to stdout."""
    try:
        if len(argv) == 3 and argv[0] == "lock":
            report = json.loads(Path(argv[1]).read_text(encoding="utf-8"))
            sys.stdout.write(lock(report, pins(Path(argv[2]).read_text(encoding="utf-8"))))
        elif len(argv) == 3 and argv[0] == "bom":
            check(Path(argv[1]).read_text(encoding="utf-8"), pins(Path(argv[2]).read_text(encoding="utf-8")))
            source = (Path(__file__).parents[1] / "hwgw/__init__.py").read_text(encoding="utf-8")
            version = re.search(r'^__version__ = "([^"]+)"', source, re.MULTILINE)
            made = bom(Path(argv[1]).read_text(encoding="utf-8"), version[1] if version else "unknown")
            sys.stdout.write(json.dumps(made, indent=1) + "\n")
        elif len(argv) == 3 and argv[0] == "part":
            sys.stdout.write(part(Path(argv[1]).read_text(encoding="utf-8"), argv[2]))
        else:
            print(__doc__, file=sys.stderr)
            return 2
    except (OSError, ValueError, KeyError) as error:
        print(f"sbom: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
