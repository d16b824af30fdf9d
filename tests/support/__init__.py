"""Helpers that several test files share.

SPDX-License-Identifier: MIT
"""
