"""Implement `pointsman version`."""

from __future__ import annotations

import argparse

from pointsman.cli.parser import VERSION


def run(_: argparse.Namespace) -> int:
    print(VERSION)
    return 0
