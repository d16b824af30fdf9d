"""The Debian package: a tree with deploy/debian as its debian/, the pinned wheels and the manual, built in build/deb.

SPDX-License-Identifier: MIT

    .venv/bin/python deploy/deb.py            (make deb: dist/hwgw_VERSION_amd64.deb)

The version is that of hwgw with the commit's time and name behind a tilde, until CHANGELOG.md has a section of it: a
package of the tree is older than the release that it becomes. DEB_MAINTAINER="NAME <ADDRESS>" says who builds it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from email.utils import formatdate
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build/deb"
MAINTAINER = os.environ.get("DEB_MAINTAINER", "hwgw <hwgw@localhost.localdomain>")
EXTRAS = "metrics,signature,top,zeromq,nats,pdf"


def output(*command: str, cwd: Path = ROOT, **environment: str) -> str:
    """What a command says on stdout; its failure is the end."""
    done = subprocess.run(command, cwd=cwd, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def version_of(number: str, changelog: str, commit: str, time_s: int) -> str:
    """The version of a package."""
    if re.search(rf"^## \[{re.escape(number)}\]", changelog, re.MULTILINE):
        return number
    return f"{number}~{time.strftime('%Y%m%d%H%M%S', time.gmtime(time_s))}.g{commit[:10]}"


def changelog_of(version: str, commit: str, time_s: int) -> str:
    """debian/changelog: the version and the commit; what changed is in CHANGELOG.md."""
    return (
        f"hwgw ({version}) unstable; urgency=medium\n\n"
        f"  * Changes are in CHANGELOG.md; this is commit\n    {commit}.\n\n"
        f" -- {MAINTAINER}  {formatdate(time_s)}\n"
    )


def stage(tree: Path, version: str, commit: str, time_s: int) -> None:
    """The tree that is built."""
    shutil.rmtree(tree, ignore_errors=True)
    for name in output("git", "ls-files", "-z").split("\0"):
        if name and (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    shutil.copytree(ROOT / "deploy/debian", tree / "debian")
    (tree / "debian/changelog").write_text(changelog_of(version, commit, time_s), encoding="utf-8")
    control = tree / "debian/control"
    control.write_text(control.read_text(encoding="utf-8").replace("@MAINTAINER@", MAINTAINER), encoding="utf-8")
    (tree / "cffi_build/commit.txt").write_text(f"{commit}\n", encoding="utf-8")
    if (ROOT / ".deps/dpdk").is_dir():
        (tree / ".deps").mkdir()
        (tree / ".deps/dpdk").symlink_to(ROOT / ".deps/dpdk")
    made = tree / "made"
    made.mkdir()
    shutil.copy2(ROOT / "deploy/debian/hwgw-halt.1", made)
    (made / "hwgw.1").write_text(output(sys.executable, "deploy/man.py"), encoding="utf-8")
    program = str(Path(sys.executable).with_name("hwgw"))
    (made / "completion").write_text(output(program, _HWGW_COMPLETE="bash_source"), encoding="utf-8")
    wheels, kept = tree / "wheels", BUILD / "wheels"
    wheels.mkdir()
    lock = output(sys.executable, "deploy/sbom.py", "part", "deploy/requirements.lock", f"hwgw[{EXTRAS}]")
    (wheels / "requirements.lock").write_text(lock, encoding="utf-8")
    command = ["-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    output(sys.executable, *command, "--dest", str(kept), "-r", str(wheels / "requirements.lock"))
    for wheel in kept.glob("*.whl"):
        os.link(wheel, wheels / wheel.name)


def main() -> int:
    """Build the package; its path goes to stdout."""
    say = "import sys; print(*sys.version_info[:2], sep='.')"
    here, theirs = output(sys.executable, "-c", say).strip(), output("/usr/bin/python3", "-c", say).strip()
    if here != theirs:
        print(f"deb: .venv has Python {here}, /usr/bin/python3 is {theirs}, which the package is for:"
              " make clean, make PYTHON=/usr/bin/python3 deb", file=sys.stderr)  # fmt: skip
        return 1
    source = (ROOT / "hwgw/__init__.py").read_text(encoding="utf-8")
    (number,) = re.findall(r'^__version__ = "([^"]+)"', source, re.MULTILINE)
    commit = output("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*").strip()
    time_s = int(output("git", "show", "-s", "--format=%ct", "HEAD"))
    version = version_of(number, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), commit, time_s)
    BUILD.mkdir(parents=True, exist_ok=True)
    tree = BUILD / f"hwgw-{version}"
    for old in BUILD.glob("hwgw[-_]*"):
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    stage(tree, version, commit, time_s)
    log = BUILD / "build.log"
    with log.open("w", encoding="utf-8") as stream:
        done = subprocess.run(
            ["dpkg-buildpackage", "-b", "-us", "-uc"], cwd=tree, stdout=stream, stderr=stream, check=False,
            env=os.environ | {"HWGW_PYTHON": sys.executable, "SOURCE_DATE_EPOCH": str(time_s)},
        )  # fmt: skip
    if done.returncode:
        print("".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[-30:]), file=sys.stderr)
        print(f"deb: dpkg-buildpackage failed, see {log.relative_to(ROOT)}", file=sys.stderr)
        return 1
    (ROOT / "dist").mkdir(exist_ok=True)
    for old in (ROOT / "dist").glob("hwgw_*.deb"):
        old.unlink()
    package = next(BUILD.glob("hwgw_*.deb"))
    print(f"deb: {Path(shutil.copy2(package, ROOT / 'dist')).relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
