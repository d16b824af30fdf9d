"""Alerts: rules over a gateway's shared segment, evaluated by a process of their own, and the channels they go out by.

SPDX-License-Identifier: MIT
"""
