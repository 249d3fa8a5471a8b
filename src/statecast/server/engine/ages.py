"""How old the rows of a store are, as far as must be known to let go of its history piece by piece."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

MARKS = 512  # that are kept of the span for which history is kept: it is cut so many times in it at most


@dataclass(frozen=True)
class Ages:
    """Up to which sequence numbers rows had come, and when.

    Attributes:
        marks: pairs of seconds since 1970 and a sequence number, oldest first.
    """

    marks: tuple[tuple[float, int], ...] = ()

    @classmethod
    def from_text(cls, text: str | None) -> Ages:
        """What a store remembers; without it, or where it is damaged, ages count from now on, and nothing is lost."""
        try:
            marks = tuple((float(when), int(seq)) for when, seq in json.loads(text or "[]"))
        except (ValueError, TypeError, OverflowError):
            return cls()
        sound = list(marks) == sorted(marks) and all(math.isfinite(when) for when, _ in marks)
        return cls(marks) if sound else cls()

    def to_text(self) -> str:
        """For the store to remember."""
        return json.dumps(self.marks)

    def noted(self, now: float, seq: int, span: float) -> Ages:
        """With a mark more, unless the last one is young beside the span for which history is kept.

        A clock that was set back makes rows younger than they are, never older.
        """
        if self.marks and 0 <= now - self.marks[-1][0] < span / MARKS:
            return self
        return Ages((*((min(when, now), number) for when, number in self.marks), (now, seq)))

    def cut(self, before: float) -> tuple[int, Ages]:
        """Up to which sequence number rows had come before a time, 0 where that is not known; and the younger marks."""
        old = [seq for when, seq in self.marks if when <= before]
        return max(old, default=0), Ages(self.marks[len(old) :])
