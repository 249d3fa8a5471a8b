"""Who runs a plan: the engine of a name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, Protocol

from statecast.cluster.local import LocalEngine
from statecast.cluster.plan import Plan
from statecast.cluster.work import Answer
from statecast.errors import SettingError, nearest

ENGINES = ("ray", "local", "spark")


class Executor(Protocol):
    """Runs a plan."""

    def run(self, plan: Plan) -> Iterator[Answer]:
        """The answers about all buckets, as they come."""


def engine_of(name: str | None, workers: int | None) -> Executor:
    """The engine of a name; Ray where it is installed, if no name is given.

    Raises:
        SettingError: there is no such engine, or no such number of workers.
    """
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise SettingError(f"workers = {workers!r}: expected a whole number of at least 1")
    name = name or ("ray" if find_spec("ray") else "local")
    if name == "local":
        return LocalEngine(workers or _processors())
    if name == "ray":
        from statecast.cluster.ray import RayEngine

        return RayEngine(workers)
    if name == "spark":
        from statecast.cluster.spark.engine import SparkEngine

        return SparkEngine(workers)
    raise SettingError(f"there is no engine {name!r}; {nearest(name, ENGINES)}")


def is_spark_frame(source: Any) -> bool:
    """Whether a source is a DataFrame of Spark, in this process or over Spark Connect."""
    return type(source).__name__ == "DataFrame" and type(source).__module__.startswith("pyspark.sql")


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
