"""The calls: what `Forecaster` does with a table, for sources that are larger, on many workers.

A Spark DataFrame is worked on where it is, by Spark: without `out` another one comes back, and nothing has happened
yet.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from statecast.cluster.engines import engine_of, is_spark_frame
from statecast.cluster.jobs import MODELS, Backtesting, Fitting, Forecasting, Scoring
from statecast.cluster.models import Trained
from statecast.cluster.outcome import Outcome
from statecast.cluster.partition import Partition
from statecast.cluster.plan import Plan, Watch
from statecast.cluster.sources import RowSource, source_of
from statecast.cluster.work import Answer, BucketWork, Job, merged, write
from statecast.config import Config
from statecast.errors import DataError, OutputError, SettingError, TooFewRows
from statecast.estimators import Forecaster, examination
from statecast.forecast.calibrate import checked_levels
from statecast.forecast.predict import checked_horizon

ON_ERROR = ("raise", "skip")
ROWS = 250_000  # of a bucket, about
MOST = 4096  # buckets


def forecast(
    model: Forecaster | str | Path,
    source: Any,
    *,
    out: str | Path | None = None,
    horizon: int | None = None,
    levels: Sequence[float] | None = None,
    future: Any = None,
    engine: str | None = None,
    workers: int | None = None,
    buckets: int | None = None,
    on_error: str = "raise",
    watch: Watch | None = None,
) -> Outcome | Any:
    """Forecast every series of a source from its last row; the columns are those of `Forecaster.predict`.

    Args:
        model: a fitted Forecaster, the path of a saved one, or the folder of models by group that `fit` wrote.
        source: a Parquet file, a pattern such as "tables/*.parquet", a folder or an address such as s3://…, a list of
            these, a pyarrow dataset, a Ray Dataset, a Spark DataFrame, or any table that `Forecaster.fit` takes. The
            rows of a series may be spread over several files, in the order of the files' names.
        out: a folder for the results, one Parquet file for each bucket; they are kept in memory if None.
        horizon: see `Forecaster.forecast`.
        levels: likewise.
        future: a source of the covariates known ahead.
        engine: "ray", "local" (processes of this machine) or "spark"; if None, Spark for a Spark DataFrame, and
            otherwise Ray if it is installed.
        workers: how many; all processors if None.
        buckets: how many to divide the series into; if None, one for some 250,000 rows, and a few for each worker.
        on_error: "raise", or "skip" to leave out series that cannot be used, and list them in the outcome.
        watch: called with the `Stage` of the work as it goes on.

    Returns:
        The outcome. For a Spark DataFrame without `out`, another one, which is computed when its rows are asked for;
        series that are skipped are rows of it, with the reason in the column `error`.

    Raises:
        DataError: a series cannot be used: the message names it and its bucket.
        SettingError: an option is out of range.
        OutputError: a file cannot be written.

    Example:
        >>> outcome = sc.cluster.forecast(model, table, engine="local", workers=1)
        >>> outcome.rows, outcome.table().column_names[:3]
        (12, ['unique_id', 'month', 'statecast'])
    """
    trained = Trained.of(model)
    checked_horizon(trained.model, horizon)
    checked_levels(trained.model, levels)
    job = Forecasting(trained.model.schema.id, horizon, None if levels is None else tuple(levels))
    run = _Run(trained.job(job), source, out, engine, workers, buckets, on_error, watch)
    return run.result(trained, future)


def backtest(
    model: Forecaster | str | Path,
    source: Any,
    *,
    windows: int = 5,
    step: int | None = None,
    out: str | Path | None = None,
    engine: str | None = None,
    workers: int | None = None,
    buckets: int | None = None,
    on_error: str = "raise",
    watch: Watch | None = None,
) -> Outcome | Any:
    """Forecast from past rows of every series, next to what happened and the baselines; see `Forecaster.backtest`.

    The model's network forecasts even rows that it has learned from: give later rows, or `forecaster.tested()`,
    which has not seen the test rows of its fit.

    Args:
        model: see `forecast`.
        source: likewise.
        windows: the number of origins of each series.
        step: rows between two of them; the horizon if None.
        out: see `forecast`.
        engine: likewise.
        workers: likewise.
        buckets: likewise.
        on_error: likewise.
        watch: likewise.

    Raises:
        TooFewRows: no series is long enough.
        DataError, SettingError, OutputError: see `forecast`.

    Example:
        >>> sc.cluster.backtest(model.tested(), table, windows=2, engine="local", workers=1).rows
        24
    """
    trained = Trained.of(model)
    job = trained.job(Backtesting(trained.model.schema.id, windows, step))
    run = _Run(job, source, out, engine, workers, buckets, on_error, watch)
    outcome = run.result(trained)
    if isinstance(outcome, Outcome) and not outcome.rows and not outcome.skipped:
        raise TooFewRows(f"no series has enough rows for {windows} windows: ask for fewer windows or a smaller step")
    return outcome


def score(
    model: Forecaster | str | Path,
    source: Any,
    *,
    out: str | Path | None = None,
    engine: str | None = None,
    workers: int | None = None,
    buckets: int | None = None,
    on_error: str = "raise",
    watch: Watch | None = None,
) -> Outcome | Any:
    """Scores on a source: of all series together in `Outcome.scores`, and of each as rows.

    The scores of all are those of `Forecaster.score` up to rounding; they are the same bits for any number of buckets
    and workers. The arguments are those of `forecast`.

    Raises:
        DataError, SettingError, OutputError: see `forecast`.

    Example:
        >>> sc.cluster.score(model, table, engine="local", workers=1).scores["skill"]["persistence"] > 0.5
        True
    """
    trained = Trained.of(model)
    job = trained.job(Scoring(trained.model.schema.id))
    run = _Run(job, source, out, engine, workers, buckets, on_error, watch)
    return run.result(trained, targets=trained.model.schema.target)


def fit(
    source: Any,
    target: Any = None,
    *,
    by: str | None = None,
    out: str | Path,
    id: str | None = None,
    time: str | None = None,
    past: Any = None,
    known: Any = None,
    static: Any = None,
    freq: str | None = None,
    weight: str | None = None,
    engine: str | None = None,
    workers: int | None = None,
    on_error: str = "raise",
    watch: Watch | None = None,
    **settings: Any,
) -> Outcome:
    """Train a model for each group of series: for each value of a column, such as a region.

    Args:
        source: see `forecast`.
        target: the columns to forecast; this and the following as in `Forecaster.fit`.
        by: the column whose values form the groups; if None, the column of ids, which gives a model for each series.
        out: a folder for a model file of each group, and for tables of the results.
        id: the column that names the series.
        time: the column of times.
        past: covariates that are known up to the present.
        known: covariates known ahead.
        static: covariates of a series.
        freq: the length of a step.
        weight: the column that says how much each row counts in training.
        engine: see `forecast`.
        workers: likewise.
        on_error: likewise; "skip" leaves out groups.
        watch: likewise.
        settings: of each `Forecaster`.

    Returns:
        An outcome whose rows are the groups: their name, their number of rows, the file of their model in `out`, and
        its scores on the test rows.

    Raises:
        DataError, SettingError, OutputError: see `forecast`.

    Example:
        >>> rows = examples.panel((60, 70))
        >>> outcome = sc.cluster.fit(
        ...     rows, "load", id="site", time="hour", horizon=3, max_steps=0, out="models", engine="local", workers=1
        ... )
        >>> outcome.rows
        2
    """
    Config.of(settings)
    group = by or id
    if group is None:
        raise SettingError('say which column makes the groups: by="region", or id=… for a model for each series')
    if time is None and is_spark_frame(source):
        raise SettingError("Spark keeps no order of rows: say which column tells it, with time=…")
    folder = _folder(out)
    columns = {"target": target, "id": id, "time": time, "past": past, "known": known, "static": static}
    roles = {**columns, "weight": weight, "freq": freq}
    run = _Run(Fitting(group, folder, settings, roles), source, None, engine, workers, None, on_error, watch)
    named = [[names] if isinstance(names, str) else names or () for names in (group, *columns.values(), weight)]
    required = tuple(dict.fromkeys(name for names in named for name in names))
    outcome = run.outcome(group, required=required)
    return replace(outcome, files=(write(outcome.table(), folder / MODELS),))


class _Run:
    """One call, from its options to its outcome."""

    def __init__(
        self,
        job: Job,
        source: Any,
        out: str | Path | None,
        engine: str | None,
        workers: int | None,
        buckets: int | None,
        on_error: str,
        watch: Watch | None,
    ) -> None:
        if on_error not in ON_ERROR:
            raise SettingError(f"on_error = {on_error!r}: expected one of {', '.join(ON_ERROR)}")
        if buckets is not None and (isinstance(buckets, bool) or not isinstance(buckets, int) or buckets < 1):
            raise SettingError(f"buckets = {buckets!r}: expected a whole number of at least 1")
        self._job, self._source, self._buckets, self._patient = job, source, buckets, on_error == "skip"
        self._spark, self._watch = is_spark_frame(source), watch or (lambda stage: None)
        if self._spark and (engine or "spark") != "spark":
            raise SettingError(f"engine = {engine!r}: a Spark DataFrame is worked on by Spark: leave the engine out")
        if self._spark and (workers is not None or watch is not None):
            raise SettingError("workers and watch: Spark has its own, as the session of the DataFrame says")
        self._engine = None if self._spark else engine_of(engine, workers)
        self._out = None if out is None else _folder(out)

    def result(self, trained: Trained, future: Any = None, targets: Sequence[str] = ()) -> Outcome | Any:
        """The outcome of a job with a model; of a Spark DataFrame another one, unless there is a folder for it.

        Args:
            trained: the model.
            future: a source of what is known ahead.
            targets: names of the targets of which there are scores.
        """
        if not self._spark or self._out is not None:
            return self.outcome(trained.order, trained, future, targets)
        from statecast.cluster.spark.frames import SparkRows, lazily

        work = BucketWork(self._job, trained.content, None, self._patient)
        return lazily(SparkRows.of(self._source, work, trained, self._buckets, future), work, trained)

    def outcome(
        self,
        order: str,
        trained: Trained | None = None,
        future: Any = None,
        targets: Sequence[str] = (),
        required: Sequence[str] = (),
    ) -> Outcome:
        """Run the job.

        Args:
            order: the column by which the rows of the result are sorted.
            trained: see `result`; None where the job needs no model.
            future: likewise.
            targets: likewise.
            required: columns that there must be where all are read.
        """
        work = BucketWork(self._job, None if trained is None else trained.content, self._out, self._patient)
        answers = self._checked(self._answers(work, trained, future, required))
        tables = [answer.table for answer in answers if answer.table is not None and answer.table.num_columns]
        return Outcome(
            sum(answer.rows for answer in answers),
            sum(answer.series for answer in answers),
            tuple(answer.file for answer in answers if answer.file is not None),
            tuple(skipped for answer in answers for skipped in answer.skipped),
            _scores(answers, targets) if targets else None,
            None if self._out is not None else _ordered(tables, order),
        )

    def _answers(
        self, work: BucketWork, trained: Trained | None, future: Any, required: Sequence[str]
    ) -> Iterator[Answer]:
        """The answers about all buckets, as they come."""
        if self._engine is None:
            from statecast.cluster.spark.frames import SparkRows, answers

            rows = SparkRows.of(self._source, work, trained, self._buckets, future, required)
            yield from answers(rows, work)
            return
        with ExitStack() as stack:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="statecast-")))
            source = source_of(self._source, scratch)
            known = None if future is None else source_of(future, scratch)
            role = "which the model reads" if trained else "which the fit is to take"
            source.require(trained.columns if trained else required, role)
            yield from self._engine.run(self._plan(work, trained, source, known, scratch))

    def _plan(
        self, work: BucketWork, trained: Trained | None, rows: RowSource, known: RowSource | None, scratch: Path
    ) -> Plan:
        group, columns = self._job.group, None if trained is None else trained.columns
        ahead = () if trained is None else trained.ahead
        if known is not None:
            known.require(ahead, "of what is known ahead")
        workers = getattr(self._engine, "workers", 1)
        count = 1 if group is None else self._buckets or min(max(-(-rows.rows // ROWS), 4 * workers), MOST)
        partitions = Partition(group, count, columns), Partition(group, count, ahead)
        return Plan(
            rows.pieces, () if known is None else known.pieces, *partitions, work, scratch, self._watch, rows.rows
        )

    def _checked(self, answers: Iterable[Answer]) -> list[Answer]:
        """Answers in the order of the buckets.

        Raises:
            DataError: a series cannot be used, and is not to be passed over.
        """
        result = []
        for answer in answers:
            if answer.skipped and not self._patient:
                raise DataError(str(answer.skipped[0]))
            result.append(answer)
        return sorted(result, key=lambda answer: answer.bucket)


def _folder(out: str | Path) -> Path:
    """A folder for results, which holds none yet.

    Raises:
        OutputError: it does, or cannot be made.
    """
    folder = Path(out).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be made: {error.strerror}; choose another one") from error
    if any(folder.iterdir()):
        raise OutputError(f"the folder {folder} is not empty: choose another one, or remove what it holds")
    return folder


def _ordered(tables: Sequence[pa.Table], column: str) -> pa.Table:
    """The rows of all buckets, by the names of their series, which no bucket decides."""
    if not tables:
        return pa.table({})
    table = pa.concat_tables(tables, promote_options="permissive")
    if column not in table.column_names:
        return table
    return table.take(pyarrow.compute.sort_indices(table, sort_keys=[(column, "ascending")]))


def _scores(answers: Sequence[Answer], targets: Sequence[str]) -> Mapping[str, Any] | None:
    """The scores of all series, added up by their names, so that the bits depend on no bucket."""
    score_sums = merged(answer.score_sums for answer in answers)
    if not score_sums:
        return None
    first, *others = (score_sums[name] for name in sorted(score_sums))
    for sums in others:
        first = first.merge(sums)
    return examination.summary(first.evaluation(list(targets), len(score_sums)))
