"""`hwgw version`: version, commit and receive backends.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from hwgw.cli.common import Output, verb


@verb("version")
def command(out: Output) -> None:
    """Version, commit and receive backends."""
    from hwgw import about, native

    build = native.build()
    backends = native.backends()
    out.emit(
        {
            "version": about.__version__,
            "commit": about.commit(),
            "backends": {b.name: {"available": b.available, "reason": b.reason} for b in backends},
            "native_abi": native.abi(),
            "native": build,
        }
    )
    out.say(f"hwgw {about.__version__} ({about.commit()[:12]}), ABI {native.abi()}")
    out.say(f"native module {build['version']}, compiled for {build['march']} by {build['compiler']}")
    for backend in backends:
        out.say(f"backend {backend.name}: {'available' if backend.available else f'not available: {backend.reason}'}")
