"""How many small changes of the gate's C code the tests of the gate notice: python -m tests.mutation.

SPDX-License-Identifier: MIT
"""
