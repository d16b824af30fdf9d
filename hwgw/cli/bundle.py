"""hwgw bundle: configuration as one signed file.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .common import Output, all_problems, verb

if TYPE_CHECKING:
    from hwgw.bundle import Bundle

_KEYS = click.option(
    "--key", "keys", multiple=True, required=True, metavar="PUBLIC|FILE",
    help="A public key that may sign, as hexadecimal digits or a file of them; may be repeated.",
)  # fmt: skip
_FILE = click.argument("file", type=click.Path(path_type=Path, readable=False))


@click.group("bundle")
def command() -> None:
    """Signed bundles of configuration.

    A bundle holds the gateway.yaml files of a host and what they name. `hwgw limits keygen` makes the key.
    """


def _read(file: Path, keys: tuple[str, ...]) -> Bundle:
    from hwgw import bundle
    from hwgw.risk import signature

    return bundle.read(file, [signature.public_key(key) for key in keys])


def _say(out: Output, found: Bundle, **more: object) -> None:
    out.emit(
        {
            "name": found.name, "serial": found.serial, "made_ns": found.made_ns, "version": found.version,
            "key": found.key, "hash": found.hash, "files": {path: len(data) for path, data in found.files.items()},
            **more,
        }
    )  # fmt: skip


@verb("make", of="bundle")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="What the bundle is for: a host, a site. Serials count per name.")
@click.option("--serial", required=True, type=int, help="Above that of every earlier bundle of this name.")
@click.option("--key", required=True, type=click.Path(path_type=Path), help="The private key.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The file to write.")
@all_problems
def make(out: Output, folder: Path, name: str, serial: int, key: Path, output: Path) -> int:
    """Make a bundle of a folder.

    Every NAME.yaml in it is checked first, as hwgw check does.
    """
    from hwgw import bundle

    data = bundle.make(folder, name, serial, key, lambda line: click.echo(f"hwgw bundle make: {line}", err=True))
    part = output.with_name(f"{output.name}.part")
    part.write_bytes(data)
    part.replace(output)
    out.say(f"{output}: {name}, serial {serial}, {len(data):,} bytes")
    out.emit({"file": str(output), "name": name, "serial": serial, "bytes": len(data)})
    return 0


@verb("verify", of="bundle")
@_FILE
@_KEYS
def verify(out: Output, file: Path, keys: tuple[str, ...]) -> int:
    """Whether a bundle is as it was signed, and by whom.

    Exit code 3 when it is not; 1 when it is, but install would refuse it for its serial.
    """
    from hwgw import bundle

    found = _read(file, keys)
    before = bundle.highest(found.name)
    _say(out, found, installed=before)
    old = f"; not above {before}, which was installed here" if found.serial <= before else ""
    out.say(f"{found.name}: serial {found.serial}, {len(found.files)} files, signed by {found.key[:16]}...{old}")
    return 1 if old else 0


@verb("install", of="bundle")
@_FILE
@_KEYS
@click.option(
    "--target", type=click.Path(path_type=Path), default=Path("/etc/hwgw"), show_default=True, help="Where it goes."
)
@all_problems
def install(out: Output, file: Path, keys: tuple[str, ...], target: Path) -> int:
    """Check a bundle and switch to it.

    TARGET/current is the new release from one moment to the next; running gateways go on as they are. A serial that is
    not above every one before is refused with exit code 1.
    """
    from hwgw import bundle

    found = _read(file, keys)
    folder = bundle.install(found, target)
    _say(out, found, folder=str(folder))
    out.say(f"{found.name}: serial {found.serial} is in place, {target}/current -> {folder.relative_to(target)}")
    return 0


for member in (make, verify, install):
    command.add_command(member)
