"""`python -m statecast` is `statecast`."""

from __future__ import annotations

import sys

from statecast.cli import main

if __name__ == "__main__":
    sys.exit(main())
