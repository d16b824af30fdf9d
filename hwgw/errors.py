"""The exceptions of hwgw: one class per exit code of the command line.

SPDX-License-Identifier: MIT

The text of an exception is one line for the user: the call or the file, what is wrong with it, and what is allowed or
can be done. The command line prints it and ends with exit_code; only --debug shows a traceback.
"""

from __future__ import annotations

from typing import ClassVar


class HwgwError(Exception):
    """Anything that hwgw itself found wrong."""

    exit_code: ClassVar[int] = 7


class CheckFailed(HwgwError):  # noqa: N818 (the outcome of a check is not an error of the program)
    """A check failed or a difference was found."""

    exit_code = 1


class UsageError(HwgwError):
    """A command or a function was called with something that it does not take."""

    exit_code = 2


class ConfigError(HwgwError):
    """A configuration file is wrong."""

    exit_code = 3


class PrivilegeError(HwgwError):
    """A capability or permission is missing."""

    exit_code = 4


class DeviceError(HwgwError):
    """The hardware, its driver or the kernel cannot do it."""

    exit_code = 5


class HaltedError(HwgwError):
    """The gateway is halted."""

    exit_code = 6


class InternalError(HwgwError):
    """A defect of hwgw or of its installation."""

    exit_code = 7


BY_EXIT_CODE: dict[int, type[HwgwError]] = {
    cls.exit_code: cls
    for cls in (CheckFailed, UsageError, ConfigError, PrivilegeError, DeviceError, HaltedError, InternalError)
}
