"""Signed bundles: what was signed is what is installed, and nothing older, other or half.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
from pathlib import Path

import pytest

from hwgw import audit, bundle
from hwgw.cli import execute
from hwgw.errors import CheckFailed, ConfigError, UsageError
from hwgw.risk import signature

pytest.importorskip("nacl", reason="signatures need PyNaCl")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the record in a folder of this test's own."""
    monkeypatch.setenv("HWGW_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def site(tmp_path: Path, root: Path) -> Path:
    """Return a folder with a gateway's file and one that is not checked."""
    folder = tmp_path / "site"
    (folder / "sub").mkdir(parents=True)
    text = (root / "deploy/examples/gateway.yaml").read_text(encoding="utf-8")
    (folder / "example.yaml").write_text(text, encoding="utf-8")
    (folder / "sub/notes.txt").write_text("notes\n", encoding="utf-8")
    return folder


@pytest.fixture
def key(tmp_path: Path) -> tuple[Path, bytes]:
    """Return a private key's file and the public key."""
    file = tmp_path / "desk.key"
    return file, bytes.fromhex(signature.generate(file))


def made(tmp_path: Path, site: Path, key: tuple[Path, bytes], serial: int) -> Path:
    """A bundle in a file."""
    file = tmp_path / f"{serial}.bundle"
    file.write_bytes(bundle.make(site, "rack7", serial, key[0]))
    return file


def test_what_was_made_is_what_is_installed(tmp_path: Path, site: Path, key: tuple[Path, bytes]) -> None:
    """By the command, then again with the next serial; the link is switched, both releases are there."""
    public, target = key[1].hex(), tmp_path / "etc"
    for serial in (12, 13):
        (site / "sub/notes.txt").write_text(f"{serial}\n", encoding="utf-8")
        file = tmp_path / "rack7.bundle"
        make = ["bundle", "make", str(site), "--name", "rack7", "--serial", str(serial)]
        assert execute([*make, "--key", str(key[0]), "-o", str(file)]) == 0
        assert execute(["bundle", "verify", str(file), "--key", public]) == 0
        assert execute(["bundle", "install", str(file), "--key", public, "--target", str(target)]) == 0
        assert (target / "current/sub/notes.txt").read_text(encoding="utf-8") == f"{serial}\n"
        assert (target / "current/example.yaml").read_bytes() == (site / "example.yaml").read_bytes()
    assert sorted(path.name for path in (target / "releases").iterdir()) == [".lock", "000000000012", "000000000013"]
    acts = list(audit.verify("bundle-rack7"))
    assert [(act["action"], act["serial"], act["key"]) for act in acts] == [("bundle", n, public) for n in (12, 13)]


def test_an_older_bundle_is_refused_even_when_the_folder_is_gone(
    tmp_path: Path, site: Path, key: tuple[Path, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    """The highest serial is that of the record; the same one again is refused too."""
    old, new, target = made(tmp_path, site, key, 7), made(tmp_path, site, key, 8), tmp_path / "etc"
    bundle.install(bundle.read(new, [key[1]]), target)
    for file in (old, new):
        (target / "current").unlink(missing_ok=True)
        with pytest.raises(CheckFailed, match=r"serial \d is not above 8, which was installed already"):
            bundle.install(bundle.read(file, [key[1]]), target)
        assert not (target / "current").exists()
        assert execute(["bundle", "verify", str(file), "--key", key[1].hex()]) == 1
    record = audit.path("bundle-rack7")
    record.write_bytes(record.read_bytes().replace(b'"serial": 8', b'"serial": 6') + b"\n")
    with pytest.raises(CheckFailed):  # a record that was changed lets nothing in
        bundle.install(bundle.read(old, [key[1]]), target)


def test_every_changed_byte_is_found(tmp_path: Path, site: Path, key: tuple[Path, bytes]) -> None:
    """Bits, cuts, additions, and another's key; nothing but ConfigError comes of it."""
    file = made(tmp_path, site, key, 1)
    whole = file.read_bytes()
    rng = random.Random(int(os.environ.get("HWGW_SEED", "1")))
    damaged = [whole + b"x", whole[:-1], b"", whole[:14], whole.replace(b'"serial":1', b'"serial":9')]
    damaged += [whole[: rng.randrange(len(whole))] for _ in range(50)]
    for _ in range(200):
        at = rng.randrange(len(whole))
        damaged.append(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :])
    found = 0
    for raw in damaged:
        file.write_bytes(raw)
        try:
            got = bundle.read(file, [key[1]])
        except ConfigError:
            found += 1
            continue
        # hexadecimal digits of the signature may change their case
        assert got.files["sub/notes.txt"] == b"notes\n"
        assert raw.lower() == whole.lower()
    assert found >= len(damaged) - 4
    file.write_bytes(whole)
    stranger = bytes.fromhex(signature.generate(tmp_path / "stranger.key"))
    with pytest.raises(ConfigError, match="signed by none of the 1 key"):
        bundle.read(file, [stranger])
    assert bundle.read(file, [stranger, key[1]]).key == key[1].hex()


@pytest.mark.parametrize(
    "change",
    [
        {"files": [{"path": "../x.yaml", "bytes": 0, "blake2b": ""}]}, {"files": []}, {"serial": 0}, {"serial": True},
        {"files": [{"path": "/etc/x", "bytes": 0, "blake2b": ""}]}, {"name": "a/b"}, {"schema": "hwgw.bundle/2"},
        {"files": [{"path": "a", "bytes": 1 << 40, "blake2b": ""}]},
        {"files": [{"path": "a", "bytes": -1, "blake2b": ""}]},
        {"files": [{"path": ".current.part/a", "bytes": 0, "blake2b": ""}]}, {"serial": 10**12},
    ],
    ids=str,
)  # fmt: skip
def test_a_signed_manifest_that_cannot_be_is_refused(
    tmp_path: Path, site: Path, key: tuple[Path, bytes], change: dict[str, object]
) -> None:
    """Paths that lead out, sizes that fill the memory: also from who holds the key."""
    file = made(tmp_path, site, key, 1)
    head, _, line, _ = file.read_bytes().split(b"\n", 3)
    line = json.dumps(json.loads(line) | change).encode()
    signed = signature.sign(b"hwgw bundle 1\n" + line, key[0]).encode()
    file.write_bytes(b"\n".join([head, signed, line, b""]))
    with pytest.raises(ConfigError, match="its manifest is not one of this version"):
        bundle.read(file, [key[1]])


def test_a_wrong_configuration_is_neither_made_nor_installed(
    tmp_path: Path, site: Path, key: tuple[Path, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checked on both sides: the versions may differ."""
    whole = (site / "example.yaml").read_text(encoding="utf-8")
    (site / "example.yaml").write_text(whole + "\nunknown: 1\n", encoding="utf-8")
    with pytest.raises(ConfigError):
        bundle.make(site, "rack7", 1, key[0])
    with monkeypatch.context() as patched:
        patched.setattr(bundle, "_check", lambda *_: [])
        file = made(tmp_path, site, key, 1)
    target = tmp_path / "etc"
    with pytest.raises(ConfigError):
        bundle.install(bundle.read(file, [key[1]]), target)
    assert [path.name for path in (target / "releases").iterdir()] == [".lock"]
    assert bundle.highest("rack7") == 0


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda site: (site / "link").symlink_to("example.yaml"), "only plain files go into a bundle"),
        (lambda site: (site / "a b").write_text(""), "letters, digits"),
        (lambda site: (site / "example.yaml").unlink() or (site / "sub/notes.txt").unlink(), "no files"),
    ],
)
def test_a_folder_that_cannot_be_bundled_is_named(
    site: Path, key: tuple[Path, bytes], spoil: object, said: str
) -> None:
    assert callable(spoil)
    spoil(site)
    with pytest.raises(UsageError, match=said):
        bundle.make(site, "rack7", 1, key[0])


def test_kill_at_any_moment_leaves_the_old_release_or_the_new_one(
    tmp_path: Path, site: Path, key: tuple[Path, bytes]
) -> None:
    """SIGKILL before each call that changes the file system; afterwards a newer bundle installs."""
    target = tmp_path / "etc"
    bundle.install(bundle.read(made(tmp_path, site, key, 1), [key[1]]), target)
    (site / "sub/notes.txt").write_text("new\n", encoding="utf-8")
    calls = ("mkdir", "open", "fsync", "rename", "replace", "symlink", "unlink")
    fatal, serial, ended = 0, 2, False
    seen = set()
    while not ended:
        found = bundle.read(made(tmp_path, site, key, serial), [key[1]])
        pid = os.fork()
        if pid == 0:
            cnt = 0

            def wrap(real, at=fatal):
                def call(*args, **kwargs):
                    nonlocal cnt
                    if cnt == at:
                        os.kill(os.getpid(), signal.SIGKILL)
                    cnt += 1
                    return real(*args, **kwargs)

                return call

            for name in calls:
                setattr(os, name, wrap(getattr(os, name)))
            bundle.install(found, target)
            os._exit(0)
        ended = os.waitpid(pid, 0)[1] == 0
        text = (target / "current/sub/notes.txt").read_text(encoding="utf-8")
        assert text in ("notes\n", "new\n")
        assert (target / "current/example.yaml").read_bytes() == (site / "example.yaml").read_bytes()
        seen.add(text)
        fatal, serial = fatal + 1, serial + 1
        assert fatal < 200
    assert fatal > 10
    assert seen == {"notes\n", "new\n"}


def test_secrets_do_not_go_into_a_bundle(
    tmp_path: Path, site: Path, key: tuple[Path, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of one is refused, a key with one is told of; what only the unit is given holds nothing up."""
    arguments = ["--name", "rack7", "--serial", "1", "--key", str(key[0]), "-o", str(tmp_path / "1.bundle")]
    assert execute(["bundle", "make", str(site), *arguments]) == 0
    assert "example.yaml: session.password is in the bundle for all to read" in capsys.readouterr().err
    file = site / "example.yaml"
    text = file.read_text(encoding="utf-8")
    assert text.count("\n  password: secret") == 1
    secret = site / "sub/venue.secret"
    secret.write_text("hush\n")
    secret.chmod(0o600)
    file.write_text(re.sub(r"\n  password: secret.*", "\n  password_file: sub/venue.secret", text), encoding="utf-8")
    assert execute(["bundle", "make", str(site), *arguments]) == 2
    assert "sub/venue.secret: a secret, and a bundle is not encrypted" in capsys.readouterr().err
    secret.unlink()
    place = "/run/credentials/hwgw@example.service/venue.secret"
    file.write_text(re.sub(r"\n  password: secret.*", f"\n  password_file: {place}", text), encoding="utf-8")
    assert execute(["bundle", "make", str(site), *arguments]) == 0
    assert "session.password" not in capsys.readouterr().err
    installed = bundle.install(bundle.read(tmp_path / "1.bundle", [key[1]]), tmp_path / "etc")
    assert place in (installed / "example.yaml").read_text(encoding="utf-8")
