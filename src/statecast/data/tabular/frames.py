"""Data frames as columns of numbers, and back: the only file that knows polars, pandas, pyarrow and narwhals.

A `Source` column is a NumPy array or a series of a data frame; what only the kind of it decides is decided here. Text
becomes codes and labels by the means of its library, without a Python object for each row.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from statecast.data import zones
from statecast.data.tabular.columns import WANTED, Clock, Coded, Column, Kind, Texts, Where, typed
from statecast.data.tabular.decimals import DECIMAL_COMMA, THOUSANDS_COMMA, THOUSANDS_POINT, WHOLE, ungrouped
from statecast.data.tabular.lines import CsvLayout
from statecast.data.tabular.sources import Source
from statecast.data.timetext import MISSING, NULLS
from statecast.data.values import INT64, described
from statecast.errors import DataError, MissingDependency, WrongType

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw

Native = Literal["polars", "pandas", "pyarrow", "numpy"]
_CHUNK = 1 << 16
_TYPED_ROWS = 10_000
_LOOKED_AT = 1000


def read_csv(body: Any, layout: CsvLayout, origin: str) -> tuple[Any, str]:
    """The polars frame of a CSV file, and an example of its decimal commas, or an empty text.

    Types come from the first rows, and from all of them where a later one does not fit: that is slow.

    Raises:
        DataError: it cannot be read.
    """
    pl = require_polars(f"reading {origin}")
    options: dict[str, Any] = {"separator": layout.separator, "has_header": layout.headed, "null_values": sorted(NULLS)}
    for rows in (_TYPED_ROWS, None):
        try:
            frame = pl.read_csv(body, infer_schema_length=rows, **options)
            break
        except (pl.exceptions.PolarsError, ValueError) as error:
            if rows is None:
                raise DataError(f"{origin} cannot be read as CSV: {str(error).splitlines()[0]}") from error
    european = [s for s in frame if _has_decimal_commas(s, layout.separator)] if layout.separator != "," else []
    example = european[0].filter(european[0].str.contains(DECIMAL_COMMA)).first().strip() if european else ""
    if european:
        texts = pl.read_csv(body, infer_schema=False, **options)
        frame = frame.with_columns(_with_points(series, texts[series.name], layout.separator) for series in frame)
    frame = frame.with_columns(ungrouped(series, layout.separator) for series in frame)
    frame.columns = list(layout.names)
    return frame, example


def _has_decimal_commas(series: Any, separator: str) -> bool:
    """Whether a string column holds only numbers, some of them with a decimal comma."""
    import polars as pl

    if series.dtype != pl.String:
        return False
    for texts in (series.drop_nulls().head(_LOOKED_AT), series.drop_nulls()):  # most columns end at the first
        commas = texts.str.contains(DECIMAL_COMMA)
        clear = commas if separator == ";" else commas & ~texts.str.contains(THOUSANDS_COMMA)
        others = texts.str.contains(WHOLE) | texts.str.contains(THOUSANDS_POINT)
        if not (commas | others).all() or (len(texts) > _LOOKED_AT and not clear.any()):
            return False
    return bool(len(texts) and clear.any())


def _with_points(series: Any, texts: Any, separator: str) -> Any:
    """A column of a file with decimal commas as numbers, if it holds numbers; points then group thousands."""
    import polars as pl

    grouped = texts.str.contains(THOUSANDS_POINT)
    thousands = series.dtype in (pl.Float64, pl.String) and bool(
        grouped.any() and (grouped | texts.str.contains(WHOLE)).all()
    )
    if not thousands and not _has_decimal_commas(series, separator):
        return series
    plain = texts.str.strip_chars().str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    return plain.cast(pl.Float64)


def read(source: Source, layout: CsvLayout | None) -> tuple[FrameColumns, Native, str]:
    """The columns of a file (Parquet without a layout), their library, and an example of decimal commas, or "".

    Raises:
        DataError: it cannot be read.
    """
    if layout is None:
        return *columns(_read_parquet(source), source.origin), ""
    frame, commas = read_csv(source.content if layout.body is None else layout.body, layout, source.origin)
    return *columns(frame, source.origin), commas


def _read_parquet(source: Source) -> Any:
    """The polars frame of a Parquet file.

    Raises:
        DataError: it is not a sound Parquet file.
    """
    pl = require_polars(f"reading {source.origin}")
    try:
        return pl.read_parquet(io.BytesIO(source.content) if isinstance(source.content, bytes) else source.content)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise DataError(f"{source.origin} is not a sound Parquet file: {str(error).splitlines()[0]}") from error


class FrameColumns(Mapping[str, Any]):
    """The columns of a data frame by name, each extracted when needed: a frame may have 100,000 of them.

    Attributes:
        dtypes: narwhals' types of the columns, by name.
        index: the column that was the index of the frame and holds dates, if one was.
    """

    def __init__(self, frame: nw.DataFrame[Any], origin: str, index: str | None) -> None:
        labels = frame.columns
        self.index = index
        self._frame, self._labels = frame, {str(label): label for label in labels}
        if len(self._labels) < len(labels):
            raise _twice(map(str, labels), origin)
        self.dtypes = dict(zip(self._labels, frame.schema.values(), strict=True))

    @property
    def native(self) -> Any:
        """The data frame."""
        return self._frame.to_native()

    def __getitem__(self, name: str) -> Any:
        return self._frame.get_column(self._labels[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)


def _twice(names: Iterable[str], origin: str) -> DataError:
    name = next(name for name, count in Counter(names).items() if count > 1)
    return DataError(f"{origin} has two columns named {name!r}: give each column a name of its own")


def columns(source: Any, origin: str) -> tuple[FrameColumns, Native]:
    """The columns of a data frame, and its library.

    Raises:
        DataError: the source is not a data frame, or two of its columns have one name.
    """
    import narwhals.stable.v2 as nw
    from narwhals.exceptions import DuplicateError

    try:
        native = nw.from_native(source, allow_series=True)
    except TypeError:
        raise _no_table(source) from None
    except DuplicateError:
        names = getattr(source, "column_names", None)  # of pyarrow, whose columns are the values
        raise _twice(map(str, source.columns if names is None else names), origin) from None
    if isinstance(native, nw.LazyFrame):
        native = native.collect()
    frame = native.alias(native.name or "y").to_frame() if isinstance(native, nw.Series) else native
    index = _time_index(source)
    if frame.implementation.is_pandas_like():
        frame = _with_index(frame, index)
    library = str(frame.implementation).rpartition(".")[2].lower()
    kind: Any = library if library in ("polars", "pandas", "pyarrow") else "numpy"
    return FrameColumns(frame, origin, index), kind


def _no_table(source: Any) -> DataError:
    remedy = "give a path, a pandas, polars or pyarrow frame, a NumPy array, or a mapping of names to columns"
    if isinstance(source, (int, np.integer)) and not isinstance(source, bool):
        remedy += f"; for a forecast of {source} steps write horizon={source}"
    return DataError(f"a table cannot be made of {described(source)} ({type(source).__name__}): {remedy}")


def _time_index(source: Any) -> str | None:
    """The name of the column that the index of a pandas frame or series becomes, if it holds dates."""
    index: Any = getattr(source, "index", None)
    if type(index).__name__ not in ("DatetimeIndex", "PeriodIndex"):
        return None
    taken = [str(name) for name in getattr(source, "columns", ())]
    return str(index.name) if index.name is not None else next(n for n in ("ds", "time", "index") if n not in taken)


def _with_index(frame: nw.DataFrame[Any], time: str | None) -> nw.DataFrame[Any]:
    """Make columns of a pandas index that has names or holds dates: pandas users keep times and ids there."""
    import narwhals.stable.v2 as nw

    native = frame.to_native()
    names = [name for name in native.index.names if name is not None and name not in native.columns]
    if time is not None and not names and time not in native.columns:
        native, names = native.set_axis(native.index.rename(time), axis=0), [time]
    return nw.from_native(native.reset_index(level=names), eager_only=True) if names else frame


ColumnKind = Literal["text", "time", "number", "objects", "other"]


def kind_of(columns: Mapping[str, Any], name: str) -> ColumnKind:
    """What a column holds, as far as its type tells; for objects only the values can."""
    if not isinstance(columns, FrameColumns):
        kinds: dict[str, ColumnKind] = {"U": "text", "S": "text", "M": "time", "O": "objects"}
        kinds |= dict.fromkeys("iuf", "number")
        return kinds.get(columns[name].dtype.kind, "other")
    import narwhals.stable.v2 as nw

    dtype = columns.dtypes[name]
    if dtype == nw.String:
        return "text"
    if dtype.is_numeric():
        return "number"
    return "time" if dtype in (nw.Datetime, nw.Date) else "objects" if dtype in (nw.Object, nw.Unknown) else "other"


def text_chunks(source: Any) -> Texts:
    """A string column as lists of bounded length; missing strings are empty."""
    for start in range(0, len(source), _CHUNK):
        part = source[start : start + _CHUNK]
        yield part.astype(np.str_).tolist() if isinstance(source, np.ndarray) else part.fill_null("").to_list()


def column(where: Where, name: str, columns: Mapping[str, Any], clock: Clock | None = None) -> Column:
    """A column as an array; one of times by its clock.

    Raises:
        DataError: it holds neither numbers, strings, flags nor times; or a value is not a time, or zones are mixed.
    """
    raw: Any = columns[name]
    if clock and not clock.whole and kind_of(columns, name) == "text":
        raw = text_chunks(raw)  # without codes and labels
    elif not isinstance(raw, np.ndarray):
        raw = _extracted(where, name, raw)
    return typed(where, name, raw, clock)


def sampled(where: Where, name: str, columns: Mapping[str, Any]) -> tuple[ColumnKind, list[str]]:
    """What a column holds, and the first of its strings: objects are read to tell.

    Raises:
        DataError: dates among objects that cannot be.
    """
    kind = kind_of(columns, name)
    if kind == "text":
        return kind, next(text_chunks(columns[name]), [])
    if kind != "objects":
        return kind, []
    try:
        objects = column(where, name, columns)
    except WrongType:  # lists, say, which nobody reads where the column has no role
        return "other", []
    kinds: dict[Kind, ColumnKind] = {"date": "time", "datetime": "time", "number": "number", "integer": "number"}
    return kinds.get(objects.kind, "other"), list(objects.labels)


def _extracted(where: Where, name: str, series: nw.Series[Any]) -> Column | np.ndarray | Coded:
    """A series as a column, or as objects or codes and labels for `columns.typed`."""
    import narwhals.stable.v2 as nw

    dtype = series.dtype
    if dtype.is_integer() and not series.is_null().any():
        wide = dtype in (nw.UInt64, nw.Int128, nw.UInt128)
        if not wide or (series.max() < INT64 and series.min() >= -INT64):
            whole = (series.cast(nw.Int64) if wide else series).to_numpy()
            return Column(name, "integer", np.ascontiguousarray(whole, np.int64))
    if dtype.is_numeric():
        return Column(name, "number", np.asarray(series.cast(nw.Float64).to_numpy(), np.float64))
    if dtype == nw.Boolean:
        return Column(name, "flag", np.asarray(series.cast(nw.Float64).to_numpy(), np.float64))
    if dtype in (nw.String, nw.Categorical, nw.Enum):
        return _encoded(series)
    if dtype in (nw.Datetime, nw.Date):
        return _stamps(name, series)
    if dtype in (nw.Object, nw.Unknown):
        return np.array([*series.to_list(), None], dtype=object)[:-1]
    raise DataError(f"{where(None)} holds {dtype}: {WANTED}")


def _stamps(name: str, series: nw.Series[Any]) -> Column:
    import narwhals.stable.v2 as nw

    missing = series.is_null().to_numpy()
    tz = getattr(series.dtype, "time_zone", None)
    kind: Kind = "date" if series.dtype == nw.Date else "datetime"
    if kind == "date":
        series = series.cast(nw.Datetime("us"))
    if missing.any():
        known = series.drop_nulls().dt.timestamp("us").to_numpy()
        values = np.full(len(missing), MISSING)
        values[~missing] = known
    else:
        values = np.asarray(series.dt.timestamp("us").to_numpy(), np.int64)
    return Column(name, kind, values, tz=zones.canonical(str(tz)) if tz else None)


def _encoded(series: nw.Series[Any]) -> Coded:
    """Codes and labels of a string column, computed by its library, without a Python object for each row."""
    native = series.to_native()
    if series.implementation.is_polars():
        import polars as pl

        text = native.cast(pl.String)
        labels = text.unique().drop_nulls().sort()  # the order of `unique` changes from call to call
        codes = text.cast(pl.Enum(labels)).to_physical().cast(pl.Int64).fill_null(-1)
        return codes.to_numpy(), labels.to_list()
    if series.implementation.is_pandas_like():
        codes, labels = native.factorize()
        return np.asarray(codes, np.int64), [str(label) for label in labels]
    encoded = native.combine_chunks()
    if hasattr(encoded, "chunks"):  # a ChunkedArray where the library is old
        encoded = encoded.chunk(0) if encoded.num_chunks == 1 else encoded
    encoded = encoded if hasattr(encoded, "indices") else encoded.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return np.asarray(codes, np.int64), [str(label) for label in encoded.dictionary.to_pylist()]


def require_polars(purpose: str) -> Any:
    """The polars library, or the error that names how to install it."""
    try:
        import polars as pl
    except ImportError as error:
        raise MissingDependency.of("polars", "tables", purpose) from error
    return pl


def to_native(columns: Mapping[str, np.ndarray], native: Native, tz: str | None = None) -> Any:
    """Columns as a frame of the same library as the source.

    Args:
        columns: numbers, datetime64 and strings (object arrays), all [rows].
        native: the library; "numpy" gives a mapping of arrays.
        tz: the zone to show datetime64 columns in; they then hold UTC instants.
    """
    if native == "polars":
        return _to_polars(columns, tz)
    if native == "pandas":
        return _to_pandas(columns, tz)
    if native == "pyarrow":
        return _to_pyarrow(columns, tz)
    return dict(columns)


def _is_stamp(values: np.ndarray) -> bool:
    return values.dtype.kind == "M" and np.datetime_data(values.dtype)[0] != "D"


def _to_polars(columns: Mapping[str, np.ndarray], tz: str | None) -> Any:
    pl = require_polars("a polars frame")
    zone = tz if tz is None or tz[0] not in "+-" else "UTC"  # polars knows no fixed offset of half an hour
    series = []
    for name, values in columns.items():
        if values.dtype.kind in "OU":
            column = pl.Series(name, values.tolist(), dtype=pl.String)
        elif values.dtype.kind == "M":
            unit = "D" if not _is_stamp(values) else "us"
            column = pl.Series(name, np.ascontiguousarray(values, f"M8[{unit}]"))
        else:
            column = pl.Series(name, np.ascontiguousarray(values), nan_to_null=values.dtype.kind == "f")
        if zone and _is_stamp(values):
            column = column.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
        series.append(column)
    return pl.DataFrame(series)


def _to_pandas(columns: Mapping[str, np.ndarray], tz: str | None) -> Any:
    import pandas as pd

    frame = {}
    for name, values in columns.items():
        column = values.astype("M8[s]") if values.dtype.kind == "M" and not _is_stamp(values) else values
        zoned = bool(tz) and _is_stamp(values)
        zone = f"UTC{tz}" if tz and tz[0] in "+-" else tz
        frame[name] = pd.DatetimeIndex(column).tz_localize("UTC").tz_convert(zone) if zoned else column
    return pd.DataFrame(frame)


def _to_pyarrow(columns: Mapping[str, np.ndarray], tz: str | None) -> Any:
    import pyarrow as pa

    frame = {}
    for name, values in columns.items():
        kind = pa.timestamp("us", tz) if tz and _is_stamp(values) else None
        frame[name] = pa.array(values, type=kind, from_pandas=values.dtype.kind in "fO")
    return pa.table(frame)


def to_arrow(frame: Any) -> Any:
    """A frame of any library, or a mapping of arrays, as a pyarrow table."""
    import narwhals.stable.v2 as nw

    return _to_pyarrow(frame, None) if isinstance(frame, Mapping) else nw.from_native(frame, eager_only=True).to_arrow()
