"""Benchmarks of the data plane: `make bench`, or `python -m tests.bench --help`.

SPDX-License-Identifier: MIT
"""
