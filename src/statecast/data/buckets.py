"""Series spread over buckets by their names: the same everywhere, whatever other series there are."""

from __future__ import annotations

import hashlib
import json


def bucket(name: object, count: int) -> int:
    """The bucket of a series, 0 to count − 1: a hash of its name, a text or an integer, modulo their number."""
    # JSON tells 7 from "7", and writes whatever a text holds, a NUL or half a surrogate pair too.
    digest = hashlib.blake2b(json.dumps(name).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count
