"""Series spread over buckets by their names: the same everywhere, whatever other series there are.

The shards of a database and the parts of a table that workers share are such buckets. Where a name was put is written
down, so the rule never changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Int64


def bucket(name: object, count: int) -> int:
    """The bucket of a series, 0 to count − 1: a hash of its name, a string or an integer, modulo their number."""
    # JSON tells 7 from "7", and writes whatever a string holds, a NUL or half a surrogate pair too.
    digest = hashlib.blake2b(json.dumps(name).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count


def buckets(values: Iterable[Any], count: int) -> Int64[np.ndarray, " n"]:
    """The buckets of many names.

    Args:
        values: as a table holds them: an integer may be written as a float, a string may have blanks around it.
        count: number of buckets.
    """
    return np.array([bucket(name_of(value), count) for value in values], np.int64)


def name_of(value: Any) -> Any:
    """The name for which a value of a table stands, see `buckets`."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        return value.strip()
    return value if isinstance(value, int) or value is None else str(value)
