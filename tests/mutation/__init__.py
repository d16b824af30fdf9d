"""How many small changes of the gate its tests notice: python -m tests.mutation, and .rtl for the Verilog.

SPDX-License-Identifier: MIT
"""
