"""Writes docs/commands.md, every command with its options, from the command line's own help.

`make settings` runs this file, and a test compares what it would write with what is there.
"""

from __future__ import annotations

from pathlib import Path

PLACE = Path(__file__).resolve().parents[1] / "docs" / "commands.md"
