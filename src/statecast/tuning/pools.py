"""Where trials run: in this process, in processes of this machine, or on a Ray cluster.

A pool holds a few runners, each of which keeps the table and what it worked out of it. Records come in the order in
which trials were submitted, so that what is proposed next does not depend on which trial was done first.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from importlib.util import find_spec
from multiprocessing import get_context
from typing import Any, Protocol

from statecast.errors import MissingDependency, SettingError, nearest
from statecast.tuning.trials import FAILED, StepWatch, TrialRecord, TrialRunner, TrialTask, TuningProblem

ENGINES = ("ray", "local")
DEATHS = 2  # of processes that ran the same trial, after which it counts as failed
KILLED = "its process died (out of memory?)"


class TrialPool(Protocol):
    """Runs trials.

    Attributes:
        size: trials that run at once.
    """

    size: int

    def submit(self, task: TrialTask) -> None:
        """Begin a trial."""

    def result(self) -> TrialRecord:
        """What came of the trial that was submitted first, once it has ended."""

    def close(self) -> None:
        """Give up the trials that run."""


def engine_of(engine: str | None, workers: int | None) -> str | None:
    """Who runs trials: "local", "ray", or None: this process, if neither an engine nor several workers are asked for.

    A Ray cluster is connected to at once: Ray forks, which is best done before JAX has threads.

    Raises:
        SettingError: there is no such engine, or no such number of workers.
        MissingDependency: Ray is asked for, and not installed.
    """
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise SettingError(f"workers = {workers!r}: expected a whole number of at least 1")
    if engine is None and workers in (None, 1):
        return None
    engine = engine or ("ray" if find_spec("ray") else "local")
    if engine not in ENGINES:
        raise SettingError(f"there is no engine {engine!r}; {nearest(engine, ENGINES)}")
    if engine == "ray":
        _connected(workers)
    return engine


def pool_of(engine: str | None, workers: int | None, runner: TrialRunner, watch: StepWatch) -> TrialPool:
    """The pool of an engine, see `engine_of`."""
    if engine == "local":
        return ProcessPool(runner.problem, workers or _processors())
    return RayPool(runner.problem, workers) if engine == "ray" else InlinePool(runner, watch)


def _connected(workers: int | None) -> Any:
    """Ray, connected to a cluster: the one that the program is connected to, or one of this machine."""
    try:
        import ray
    except ImportError as error:
        raise MissingDependency.of("ray", "ray", 'engine="ray"') from error
    if not ray.is_initialized():
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    return ray


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _shared(problem: TuningProblem, workers: int) -> TuningProblem:
    """The problem of one of several workers, which share the processors; bits do not depend on that."""
    threads = problem.config.threads or max(_processors() // workers, 1)
    return replace(problem, config=problem.config.with_(threads=threads))


class InlinePool:
    """This process: a trial runs when it is taken."""

    size = 1

    def __init__(self, runner: TrialRunner, watch: StepWatch) -> None:
        self._runner, self._watch = runner, watch
        self._tasks: deque[TrialTask] = deque()

    def submit(self, task: TrialTask) -> None:
        """See `TrialPool`."""
        self._tasks.append(task)

    def result(self) -> TrialRecord:
        """See `TrialPool`."""
        return self._runner.run(self._tasks.popleft(), self._watch)

    def close(self) -> None:
        """See `TrialPool`."""


class ProcessPool:
    """Processes of this machine, each started anew ("spawn") and with one trial at a time: a death has one culprit."""

    def __init__(self, problem: TuningProblem, workers: int) -> None:
        self.size, self._problem = workers, _shared(problem, workers)
        self._free: deque[ProcessPoolExecutor] = deque()
        self._running: deque[tuple[TrialTask, Future[TrialRecord], ProcessPoolExecutor]] = deque()

    def submit(self, task: TrialTask) -> None:
        """See `TrialPool`."""
        process = self._free.popleft() if self._free else self._fresh()
        self._running.append((task, process.submit(_run, task), process))

    def result(self) -> TrialRecord:
        """See `TrialPool`."""
        task, future, process = self._running.popleft()
        for _ in range(DEATHS):
            try:
                record = future.result()
                self._free.append(process)
                return record
            except BrokenProcessPool:
                process.shutdown(wait=False)
                process = self._fresh()
                future = process.submit(_run, task)
        self._free.append(process)
        future.cancel()
        return TrialRecord(task.number, task.settings, FAILED, note=KILLED)

    def close(self) -> None:
        """See `TrialPool`."""
        for process in [*self._free, *(process for *_, process in self._running)]:
            process.kill_workers() if hasattr(process, "kill_workers") else process.shutdown(cancel_futures=True)

    def _fresh(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, get_context("spawn"), _start, (self._problem,))


_RUNNERS: list[TrialRunner] = []  # of this process, if it runs trials


def _start(problem: TuningProblem) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal: the first one decides
    _RUNNERS[:] = [TrialRunner(problem)]


def _run(task: TrialTask) -> TrialRecord:
    return _RUNNERS[0].run(task)


class RayPool:
    """Actors of the Ray cluster that the program is connected to, or of one that is started on this machine."""

    def __init__(self, problem: TuningProblem, workers: int | None) -> None:
        self._ray = _connected(workers)
        self.size = workers or max(int(self._ray.cluster_resources().get("CPU", 1)), 1)
        self._problem = self._ray.put(_shared(problem, self.size))
        self._free: deque[Any] = deque()
        self._running: deque[tuple[TrialTask, Any, Any]] = deque()

    def submit(self, task: TrialTask) -> None:
        """See `TrialPool`."""
        actor = self._free.popleft() if self._free else self._fresh()
        self._running.append((task, actor.run.remote(task), actor))

    def result(self) -> TrialRecord:
        """See `TrialPool`."""
        task, reference, actor = self._running.popleft()
        for _ in range(DEATHS):
            try:
                record: TrialRecord = self._ray.get(reference)
                self._free.append(actor)
                return record
            except self._ray.exceptions.RayActorError:
                actor = self._fresh()
                reference = actor.run.remote(task)
        self._ray.kill(actor)
        return TrialRecord(task.number, task.settings, FAILED, note=KILLED)

    def close(self) -> None:
        """See `TrialPool`."""
        for actor in [*self._free, *(actor for *_, actor in self._running)]:
            self._ray.kill(actor)

    def _fresh(self) -> Any:
        return self._ray.remote(TrialRunner).options(num_cpus=1).remote(self._problem)
