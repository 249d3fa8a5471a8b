"""What a benchmark saw, and on which machine: a JSON file that later runs add to, written whole or not at all."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any


@dataclass(frozen=True, eq=False)
class Record:
    """Results by table; each tells the machine it was made on.

    Attributes:
        tables: what was measured.
    """

    tables: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Record:
        """What a file holds; nothing where there is none."""
        return cls(json.loads(path.read_text(encoding="utf-8"))["tables"]) if path.exists() else cls()

    def with_(self, name: str, entry: Mapping[str, Any], machine: Mapping[str, Any]) -> Record:
        """The same with the results of one table replaced."""
        return Record({**self.tables, name: {**entry, "machine": machine}})

    def write(self, path: Path) -> None:
        """To a temporary name first, so that a broken run leaves the file as it was."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps({"tables": self.tables}, indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, path)


def machine(packages: tuple[str, ...] = ("statecast", "numpy", "jax", "optax", "polars")) -> dict[str, Any]:
    """What the numbers depend on."""
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), cpu)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": cpu,
        "cores": cores,
        "memory_gb": round(memory_gb, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }
