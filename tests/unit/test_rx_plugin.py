"""The dpdk backend's shared object: what keeps it from being used is said exactly, and everything else goes on.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hwgw import _native, native
from hwgw.native import lib

PLUGIN = "_rx_dpdk.so"
ASK = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("hwgw._native", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
text = module.ffi.new("char[]", 400)
print(int(module.lib.hwgw_rx_available(b"udp", text, 400)), module.lib.hwgw_rx_available(b"dpdk", text, 400))
print(module.ffi.string(text).decode())
rx, error = module.ffi.new("struct hwgw_rx **"), module.ffi.new("struct hwgw_error *")
name = module.ffi.new("char[]", b"dpdk")
print(module.lib.hwgw_rx_open(rx, module.ffi.new("struct hwgw_rx_cfg *", {"backend": name}), error))
print(module.ffi.string(error.text).decode())
"""

pytestmark = pytest.mark.skipif(
    native.backend("dpdk").reason.startswith("not built in"), reason=f"dpdk: {native.backend('dpdk').reason}"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the native module and nothing beside it."""
    shutil.copy(_native.__file__, tmp_path / "_native.abi3.so")
    return tmp_path


def ask(folder: Path) -> tuple[bool, str]:
    """Whether dpdk is available to the module in the folder, and the reason, the same in open."""
    command = [sys.executable, "-c", ASK, str(folder / "_native.abi3.so")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    first, reason, status, said = done.stdout.splitlines()
    udp, dpdk = first.split()
    assert udp == "1"
    if dpdk == "False":
        assert (int(status), said) == (lib.HWGW_ERR_DEVICE, f"rx dpdk: {reason}")
    return dpdk == "True", reason


def compile_so(path: Path, source: str, *options: str) -> None:
    if not shutil.which("gcc"):
        pytest.skip("needs gcc")
    command = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-x", "none", "-o", str(path), *options]
    subprocess.run(command, input=source, text=True, check=True)


def test_missing_shared_object_is_named(folder: Path) -> None:
    assert ask(folder) == (
        False,
        "_rx_dpdk.so is not beside the native module; install hwgw again, built with DPDK",
    )


def test_what_the_dynamic_linker_says_is_the_reason(folder: Path) -> None:
    (folder / PLUGIN).write_bytes(b"no ELF")
    available, reason = ask(folder)
    assert not available
    assert reason == f"{folder}/{PLUGIN}: file too short"

    compile_so(folder / "librte_nosuch.so.9", "int nosuch(void) { return 0; }", "-Wl,-soname,librte_nosuch.so.9")
    options = (str(folder / "librte_nosuch.so.9"), "-Wl,--no-as-needed")
    compile_so(folder / PLUGIN, "int nosuch(void); int call(void) { return nosuch(); }", *options)
    (folder / "librte_nosuch.so.9").unlink()
    assert ask(folder) == (False, "librte_nosuch.so.9: cannot open shared object file: No such file or directory")


def test_shared_object_of_another_build_is_refused_by_its_number(folder: Path) -> None:
    compile_so(folder / PLUGIN, "unsigned long long hwgw_rx_plugin[4] = {0x1234};")
    available, reason = ask(folder)
    assert not available
    assert reason.startswith("_rx_dpdk.so is of another build (interface 0000000000001234, needed 01")
    compile_so(folder / PLUGIN, "int other;")
    assert "(interface 0000000000000000, needed 01" in ask(folder)[1]


def test_asking_for_another_backend_loads_nothing_of_dpdk() -> None:
    script = """
import hwgw, hwgw.native
hwgw.native.backend("afxdp"), hwgw.native.backend("udp")
assert "librte" not in open("/proc/self/maps").read()
hwgw.native.backend("dpdk")
print("librte_eal" in open("/proc/self/maps").read())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{native.backend('dpdk').available}\n"
