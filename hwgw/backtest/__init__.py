"""Backtests: the pipeline that trades, on the clock of a recorded feed, against a model of the venue.

SPDX-License-Identifier: MIT
"""
