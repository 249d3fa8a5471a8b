from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from statecast.data import checks, results
from statecast.data.grid.roles import Roles
from statecast.data.tabular import frames, lines, table
from statecast.data.tabular.columns import Clock
from statecast.errors import DataError, OutputError, SettingError

HOURS = np.datetime64("2024-03-30T22", "us") + np.arange(4) * np.timedelta64(1, "h")
COLUMNS: dict[str, Any] = {
    "text": np.array(["b", "a", None, "b"], dtype=object),
    "whole": np.array([3, 1, 2, -5]),
    "real": np.array([0.5, np.nan, -2.0, 1e17]),
    "time": HOURS,
    "day": np.array(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-05"], "M8[D]"),
}
KINDS = {"text": "text", "whole": "integer", "real": "number", "time": "datetime", "day": "date"}


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("native", ["polars", "pandas", "pyarrow", "numpy"])
@pytest.mark.parametrize("tz", [None, "Europe/Berlin", "UTC", "+05:30"])
def test_every_kind_there_and_back(native: Any, tz: str | None) -> None:
    frame = frames.to_native(COLUMNS, native, tz)
    result = table.read(frame)
    assert result.native == native
    assert result.names == tuple(COLUMNS)
    for name, values in COLUMNS.items():
        column = result.column(name, Clock()) if values.dtype.kind == "M" else result.column(name)
        if native != "pandas" or name != "day":  # pandas has no dates
            assert column.kind == KINDS[name]
        if name == "text":
            assert [None if code < 0 else column.labels[code] for code in column.values] == values.tolist()
        elif name in ("time", "day"):
            np.testing.assert_array_equal(column.values, values.astype("M8[us]").astype(np.int64))
        else:
            np.testing.assert_array_equal(column.values, values)
    expected = None if native == "numpy" else "UTC" if native == "polars" and tz == "+05:30" else tz
    assert result.column("time").tz == expected
    assert result.row(2) == "row 2"


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz", ".parquet"])
@pytest.mark.parametrize("tz", [None, "Europe/Berlin"])
def test_files_there_and_back(tmp_path: Path, suffix: str, tz: str | None) -> None:
    path = tmp_path / f"table{suffix}"
    results.write(COLUMNS, path, tz)
    assert os.listdir(tmp_path) == [path.name]
    result = table.read(path)
    assert result.origin == path.name
    np.testing.assert_array_equal(result.column("time", Clock()).values, HOURS.astype(np.int64))
    assert result.column("time", Clock()).tz == (None if tz is None else tz if suffix == ".parquet" else "UTC")
    assert result.column("day", Clock()).kind == "date"
    np.testing.assert_array_equal(result.column("real").values, COLUMNS["real"])
    assert result.row(2) == ("row 2" if suffix == ".parquet" else "line 4")


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (pd.Series([1, None], dtype="Int64"), "number"),
        (pd.Series([1.5, None], dtype="Float64"), "number"),
        (pd.Series([True, None], dtype="boolean"), "flag"),
        (pd.Series([True, None], dtype=object), "flag"),
        (pd.Series(pd.Categorical(["x", None])), "text"),
        (pd.Series(["x", None], dtype=object), "text"),
        (pd.Series(["x", None], dtype="string"), "text"),
        (pl.Series([True, None]), "flag"),
        (pl.Series([1, None]), "number"),
        (pl.Series([2**63], dtype=pl.UInt64), "number"),
        (pl.Series(["x", None], dtype=pl.Categorical), "text"),
        (pl.Series(["x", None], dtype=pl.Enum(["y", "x"])), "text"),
        (pl.Series([1.5], dtype=pl.Decimal(5, 2)), "number"),
        (pl.Series([None, None]), "number"),
        (pl.Series([pd.Timestamp("2024-01-01")], dtype=pl.Datetime("ns")), "datetime"),
        (pl.Series([pd.Timestamp("2024-01-01").date()]), "date"),
        (pa.chunked_array([["x"], [None]]), "text"),
        (pa.chunked_array([pa.array(["x", None]).dictionary_encode()]), "text"),
        (pa.chunked_array([pa.array([1, None], pa.int8())]), "number"),
        (np.array([True, False]), "flag"),
        (np.array([1.5, None], dtype=object), "number"),
        (np.array([1, 2], dtype=object), "integer"),
        (np.array([pd.Timestamp("2024-01-01"), pd.NaT], dtype=object), "datetime"),
        (np.array(["x", "NA"]), "text"),
        (np.array([1, 2], np.uint8), "integer"),
        (np.array([1, "x"], dtype=object), "text"),
    ],
)
def test_kinds_of_columns(source: Any, kind: str) -> None:
    if isinstance(source, pl.Series):
        source = source.alias("v").to_frame()
    elif isinstance(source, pd.Series):
        source = source.to_frame("v")
    elif isinstance(source, pa.ChunkedArray):
        source = pa.table({"v": source})
    else:
        source = {"v": source}
    column = table.read(source).column("v")
    assert column.kind == kind
    expected = np.int64 if kind in ("integer", "text", "datetime", "date") else np.float64
    assert column.values.dtype == expected
    if kind == "text":
        assert column.values[0] == column.labels.index("x" if "x" in column.labels[:1] else column.labels[0])
        assert set(column.labels) <= {"x", "1"}


def test_signs_for_missing_and_leading_blanks(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "y,c\n 1, a\nNA,a \n,?\nNaN,NA\nnull,\nN/A,b\n?,b\n 2.5,null\n")
    result = table.read(path)
    column = result.column("c")
    assert column.labels == ("a", "b")
    assert column.values.tolist() == [0, 0, -1, -1, -1, 1, 1, -1]
    assert result.looks("y").numbers
    assert not result.looks("c").numbers


@pytest.mark.parametrize(
    ("texts", "kind", "first"),
    [
        (["2010-01-02 03:04:05"], "datetime", "2010-01-02T03:04:05"),
        (["2010-01-02T03:04:05.123456"], "datetime", "2010-01-02T03:04:05.123456"),
        (["2010-01-02T03:04:05.1"], "datetime", "2010-01-02T03:04:05.1"),
        (["2010-01-02 03:04"], "datetime", "2010-01-02T03:04"),
        (["2010-01-02"], "date", "2010-01-02"),
        (["2010-1-2", "2010-11-12"], "date", "2010-01-02"),
        (["2010/01/02"], "date", "2010-01-02"),
        (["20100102", "20100103"], "date", "2010-01-02"),
        (["2010-02"], "date", "2010-02-01"),
        (["25/01/2010", "01/02/2010"], "date", "2010-01-25"),
        (["01/02/2010", "02/25/2010"], "date", "2010-01-02"),
        (["1.2.2010", "25.2.2010"], "date", "2010-02-01"),
        (["01/02/2010 7:05", "13/02/2010 17:05"], "datetime", "2010-02-01T07:05"),
        (["2010-01-02T03:04:05Z"], "datetime", "2010-01-02T03:04:05"),
        (["2010-01-02T03:04:05+02:00"], "datetime", "2010-01-02T01:04:05"),
        (["2010-01-02 03:04:05-0330"], "datetime", "2010-01-02T06:34:05"),
        (["1969-12-31 23:59:59"], "datetime", "1969-12-31T23:59:59"),
        ([" 2010-01-02 ", "2010-01-03 04:00"], "datetime", "2010-01-02"),
    ],
)
@pytest.mark.parametrize("native", ["numpy", "pandas"])
def test_times_in_text(texts: list[str], kind: str, first: str, native: str) -> None:
    values = np.array(texts, dtype=object)
    column = table.read({"t": values} if native == "numpy" else pd.DataFrame({"t": values})).column("t", Clock())
    assert column.kind == kind
    assert column.values[0] == np.datetime64(first, "us").astype(np.int64)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["2010-01-02", "soon"], r"column 't', row 1: 'soon': not a time: write it as YYYY-MM-DD"),
        (["2010-01-02", "2010-02-30"], r"row 1: '2010-02-30': no such day or time"),
        (["2010-01-02 03:04", "2010-01-02 25:04"], "row 1: '2010-01-02 25:04': no such day or time"),
        (
            ["01/02/2010", "02/03/2010"],
            "row 0: '01/02/2010': day and month cannot be told apart: write .* YYYY-MM-DD",
        ),
        (["25/02/2010", "02/25/2010"], "row 1: '02/25/2010': day and month change places"),
        (["25/02/2010", "31/02/2010"], "row 1: '31/02/2010': no such day"),
        (["2010-01-02T00:00Z", "2010-01-02T01:00+01:00"], r"row 1: .*time zones are mixed: write all times in UTC"),
        (["2010-01-02T00:00+02:00", "2010-01-02T01:00+01:00"], "row 1: .*time zones are mixed"),
        (["2010-01-02T00:00Z", "2010-01-02T01:00"], "row 1: .*times with and without a time zone are mixed"),
        (["2010-01-02T00:00", "2010-01-02T01:00Z"], "row 1: .*times with and without a time zone are mixed"),
        ([pd.Timestamp("2010-01-02", tz="UTC"), pd.Timestamp("2010-01-02")], "row 1: .*with and without a time zone"),
        (
            [pd.Timestamp("2010-01-02", tz="UTC"), pd.Timestamp("2010-01-02", tz="Asia/Tokyo")],
            "row 1: .*zones are mixed",
        ),
        ([1949.5, 1950.0], "row 0: 1949.5 is not a time"),
        ([True, False], "holds true and false"),
    ],
)
def test_times_that_cannot_be_read(texts: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        table.read({"t": np.array([*texts, None], dtype=object)[:-1]}).column("t", Clock())


def test_time_layouts_may_change_between_chunks() -> None:
    """A column longer than a chunk whose last rows alone tell day from month."""
    days = ["01/02/2010"] * 70_000 + ["13/02/2010"]
    values = table.read({"t": np.array(days)}).column("t", Clock()).values
    assert values[0] == np.datetime64("2010-02-01", "us").astype(np.int64)


BAD: list[tuple[str, str | bytes, str]] = [
    ("empty.csv", "", r"empty\.csv is empty"),
    ("blank.csv", "\n\n", "blank.csv is empty"),
    ("header.csv", "a,b\n", r"header\.csv has a header but no rows"),
    ("header.csv", "a,b", "has a header but no rows"),
    ("binary.csv", b"a,b\n1,\x002\n", r"binary\.csv is a binary file"),
    (
        "latin.csv",
        "a,b\nx,1\nMünchen,2\n".encode("latin-1"),
        r"line 3 is not UTF-8 text \(byte 0xfc\): save .* as UTF-8",
    ),
    ("wide.csv", "a,b\n1,2\n".encode("utf-16"), "encoded as UTF-16"),
    ("many.csv", "a,b\n1,2\n1,2,3\n", "line 3 has 3 fields, but the header has 2: '1,2,3'"),
    ("few.csv", "a,b\n1,2\n\n1\n1,2\n", "line 4 has 1 field, but the header has 2: '1'"),
    ("quoted.csv", 'a,b\n"x\ny",2\n"1,5"\n', "line 4 has 1 field"),
    ("open.csv", 'a,b\n"x,2\n1,2\n', "odd number of quotes"),
    ("double.csv", "a,b,a\n1,2,3\n", "two columns named 'a'"),
    ("foreign.parquet", "no parquet", "not a sound Parquet file"),
    ("broken.csv.gz", "no gzip", "cannot be read"),
    ("table.xlsx", b"PK", r"not a table that statecast reads: give \.csv, \.csv\.gz, \.tsv or \.parquet"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD, ids=[f"{n}-{m[:20]}" for n, _, m in BAD])
def test_bad_files(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        table.read(write(tmp_path / name, content))


def test_truncated_files(tmp_path: Path) -> None:
    for suffix in (".parquet", ".csv.gz"):
        path = tmp_path / f"t{suffix}"
        results.write(COLUMNS, path)
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(DataError, match=r"not a sound Parquet file|cannot be read"):
            table.read(path)


def test_no_such_file_and_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "sales.csv", "a\n1\n")
    with pytest.raises(DataError, match=r"there is no file .*salse\.csv; did you mean 'sales\.csv'\?"):
        table.read(tmp_path / "salse.csv")
    (tmp_path / "monthly").mkdir()  # such as the folder that a fit is to write into
    with pytest.raises(DataError, match=r"there is no file .*monthly\.txt$"):
        table.read(tmp_path / "monthly.txt")
    with pytest.raises(DataError, match=r"there is no file .*x.csv$"):
        table.read(tmp_path / "none" / "x.csv")
    with pytest.raises(DataError, match="is a folder"):
        table.read(tmp_path)


def test_no_column_names_the_nearest() -> None:
    with pytest.raises(DataError, match="the frame has no column 'temprature': did you mean 'temperature'"):
        table.read(pl.DataFrame({"temperature": [1.0], "x": [1]})).column("temprature")


@pytest.mark.parametrize("source", [pl.DataFrame({"a": []}), pd.DataFrame(), np.empty(0), {}, {"a": []}])
def test_no_rows(source: Any) -> None:
    with pytest.raises(DataError, match=r"has no (rows|columns)"):
        table.read(source)


def test_sources_that_are_no_tables() -> None:
    with pytest.raises(DataError, match=r"cannot be made of namespace\(\) \(SimpleNamespace\)"):
        table.read(SimpleNamespace())
    with pytest.raises(DataError, match=r"shape \(2, 2, 2\)"):
        table.read(np.zeros((2, 2, 2)))
    with pytest.raises(DataError, match=r"column 'b' has the shape \(1,\)"):
        table.read({"a": [1, 2], "b": [1]})
    with pytest.raises(DataError, match=r"column 'a' holds .*statecast reads numbers"):
        table.read(pl.DataFrame({"a": [[1], [2]]})).column("a")
    with pytest.raises(DataError, match="column 'a' holds complex128"):
        table.read({"a": np.zeros(3, complex)}).column("a")


def test_arrays_and_their_names() -> None:
    assert table.read(np.zeros(3)).names == ("y",)
    assert table.read(np.zeros((3, 1))).names == ("y",)
    assert table.read(np.zeros((3, 2))).names == ("y1", "y2")
    assert table.read(np.zeros((3, 2))).default_target == ("y1", "y2")


def test_a_named_pandas_index_is_a_column() -> None:
    index = pd.date_range("2024-01-01", periods=3, name="ds")
    result = table.read(pd.DataFrame({"y": [1, 2, 3]}, index=index))
    assert result.names == ("ds", "y")
    assert result.column("ds", Clock()).kind == "datetime"
    assert table.read(pd.Series([1.0, 2.0])).names == ("y",)
    assert table.read(pl.DataFrame({"y": [1]}).lazy()).names == ("y",)


@pytest.mark.parametrize(
    "text", ["a;b\n1;x\n", "a\tb\n1\tx\n", "a|b\n1|x\n", "\ufeffa,b\r\n1,x\r\n", "\n\na,b\n\n1,x\n\n"]
)
def test_csv_dialects(tmp_path: Path, text: str) -> None:
    result = table.read(write(tmp_path / "t.csv", text))
    assert result.names == ("a", "b")
    assert result.rows == 1
    assert result.column("a").values.tolist() == [1]
    assert result.column("b").labels == ("x",)


def test_lines_of_rows(tmp_path: Path) -> None:
    result = table.read(write(tmp_path / "t.csv", 'a,b\n"x\ny",1\n\nz,2\n'))
    assert [result.row(index) for index in range(2)] == ["line 2", "line 5"]
    single = table.read(write(tmp_path / "s.csv", "a\n1\n\n3\n\n\n"))
    np.testing.assert_array_equal(single.column("a").values, [1, np.nan, 3])
    assert single.row(2) == "line 4"


def test_checks_agree_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records and quoted fields that span blocks are counted as if there were none."""
    text = 'a,b\n1,"x,\n,y"\n22,z\n,\n"3","ü"\n'.encode()
    whole = lines.check(text, "t")
    bad = text + b"1,2,3\n4,5\n"
    for block in (1, 2, 3, 7, 16):
        monkeypatch.setattr(lines, "_BLOCK", block)
        again = lines.check(text, "t")
        assert again.names == whole.names
        np.testing.assert_array_equal(again.lines, [2, 4, 5, 6])
        with pytest.raises(DataError, match="line 7 has 3 fields"):
            lines.check(bad, "t")


def test_types_that_change_late(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "a,b\n" + "1,x\n" * 20_000 + "1.5,x\nabc,x\n")
    assert table.read(path).column("a").labels[-1] == "abc"
    path = write(tmp_path / "t.csv", "a,b\n" + "1,x\n" * 20_000 + "1.5,x\n")
    assert table.read(path).column("a").values[-1] == 1.5


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_standard_input(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"t{suffix}"
    results.write(COLUMNS, path)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(path.read_bytes())))
    result = table.read("-")
    assert (result.origin, result.rows) == ("standard input", 4)


def test_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    results.write({"a": np.array([1.5, np.nan]), "t": HOURS[:2]}, "-", "Europe/Berlin")
    sys.stdout.flush()
    expected = b"a,t\n1.5,2024-03-30 22:00:00Z\n,2024-03-30 23:00:00Z\n"
    assert capfdbinary.readouterr().out == expected


def test_files_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError, match="has no suffix of a table"):
        results.write(COLUMNS, tmp_path / "t.xls")
    path = write(tmp_path / "t.csv", "old")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        results.write(COLUMNS, path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["t.csv"]


def test_frame_gives_back_the_source() -> None:
    frame = pl.DataFrame({"a": [1, 2]})
    assert table.read(frame).frame().equals(frame)
    assert list(table.read(np.zeros(2)).frame()) == ["y"]


def test_gzip_is_the_same_file_twice(tmp_path: Path) -> None:
    for name in ("a.csv.gz", "b.csv.gz"):
        results.write(COLUMNS, tmp_path / name)
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()).startswith(b"text,whole")


def test_reading_imports_no_frames_until_asked() -> None:
    code = (
        "import sys; from statecast.data import checks, examples\n"
        "from statecast.data.grid.roles import Roles; from statecast.data.tabular import table\n"
        "checks.panel(table.read(examples.sine(9)), Roles())\n"
        "print({'polars', 'pandas', 'pyarrow', 'narwhals', 'jax'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("text", "names", "first"),
    [
        ("2024-01-01,1.5\n2024-01-02,2\n", ("column_1", "column_2"), [1.5, 2]),
        ("1.5\n2\n", ("column_1",), [1.5, 2]),
        ("112\n118\n", ("column_1",), [112, 118]),
        ("1,112\n2,118\n", ("column_1", "column_2"), [112, 118]),
        ("01/02/2024;1,5\n02/02/2024;2,5\n", ("column_1", "column_2"), [1.5, 2.5]),
        ("2019,2020\n1.5,2.5\n", ("2019", "2020"), [2.5]),
        ('"2019","2020"\n1,2\n', ("2019", "2020"), [2]),
        (",0,1\n0,1.5,2\n", ("column_1", "0", "1"), [2]),
        ("day,y\n2024-01-01,3\n", ("day", "y"), [3]),
    ],
)
def test_a_header_is_missed_where_the_first_line_holds_values(
    tmp_path: Path, text: str, names: tuple[str, ...], first: list[float]
) -> None:
    result = table.read(write(tmp_path / "t.csv", text))
    assert result.names == names
    assert result.column(names[-1]).values.tolist() == first
    headed = len(first) < len(text.splitlines())
    assert result.row(0) == ("line 2" if headed else "line 1")
    assert [reason for reason in result.reasons if "header" in reason] == ([] if headed else ["header"])


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("a;b\n1,5;x\n2;y\n", [1.5, 2]),
        ("a;b\n1.234,5;x\n-12;y\n", [1234.5, -12]),
        ("a;b\n1.234;1,5\n22;2\n", [1234, 22]),  # points group thousands where commas are decimal
        ("a;b\n1.234;1,5\n2.5;2\n", [1.234, 2.5]),  # and cannot here
        ("a;b\n0.123;1,5\n0.456;2\n", [0.123, 0.456]),
        ("a;b\n1.234;1\n22.345;2\n", [1.234, 22.345]),
        ("a;b\n1,234;1\n", [1.234]),
        ("a\tb\n1,5\tx\n1,234\ty\n", [1.5, 1.234]),
        ("a;b, c\n1,5;x\n", [1.5]),
        ("a;b\n,5;x\n", None),
        ("a\tb\n1,234\tx\n", None),  # a thousand as well as not
        ('a,b\n"1,234",x\n', None),
    ],
)
def test_decimal_commas_are_read_where_they_are_certain(tmp_path: Path, text: str, numbers: list[float] | None) -> None:
    result = table.read(write(tmp_path / "t.csv", text))
    column = result.column("a")
    assert (column.values.tolist() if column.kind in ("number", "integer") else None) == numbers
    commas = numbers is not None and "," in text.partition("\n")[2] and "." not in text.partition("\n")[0]
    assert ("decimal" in result.reasons) == commas


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ('a,b\n"1,234.5",x\n12,y\n"1,234",z\n', [1234.5, 12, 1234]),
        ('a,b\n"-1,234,567",x\n,y\n', [-1234567, None]),
        ('a,b\n"1,234",x\n968,y\n', [1234, 968]),
        ('a,b\n"1,234",x\n12,y\n', None),  # a decimal comma as well as not
        ('a,b\n"1,234.5",x\n"1,5",y\n', None),
        ("a;b\n1,234.5;x\n", None),
    ],
)
def test_commas_group_thousands_where_that_is_clear(
    tmp_path: Path, text: str, numbers: list[float | None] | None
) -> None:
    column = table.read(write(tmp_path / "t.csv", text)).column("a")
    values = [None if value != value else value for value in column.values.tolist()]
    assert (values if column.kind == "number" else None) == numbers


@pytest.mark.parametrize("text", ["a,b\r1,x\r2,y\r", "a,b\r1,x\r2,y", "a,b\r\r1,x\r\r2,y"])
def test_lines_may_end_in_carriage_returns_alone(tmp_path: Path, text: str) -> None:
    result = table.read(write(tmp_path / "t.csv", text))
    assert (result.names, result.column("a").values.tolist()) == (("a", "b"), [1, 2])


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(np.ones((2, 3)), columns=["a", "b", "a"]),
        pd.DataFrame(np.ones((2, 3)), columns=[1, "b", "1"]),
        pa.table([[1], [2], [3]], names=["a", "b", "a"]),
    ],
)
def test_two_columns_of_one_name_are_named(frame: Any) -> None:
    with pytest.raises(DataError, match=r"the frame has two columns named '[a1]': give each column a name of its own"):
        table.read(frame)


def test_a_number_is_no_table() -> None:
    with pytest.raises(
        DataError, match=r"a table cannot be made of 24 \(int\): .*for a forecast of 24 steps write hor"
    ):
        table.read(24)


def test_columns_are_taken_out_of_a_frame_when_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame may have 100,000 columns, of which two have a role."""
    taken: list[str] = []
    get = frames.FrameColumns.__getitem__
    monkeypatch.setattr(frames.FrameColumns, "__getitem__", lambda self, name: taken.append(name) or get(self, name))
    for frame in (pl.DataFrame(np.ones((2, 50))), pd.DataFrame(np.ones((2, 50))).add_prefix("column_")):
        read = table.read(frame)
        checks.panel(read, Roles.of("column_7", past="column_8"))
        assert set(taken) <= {"column_0", "column_7", "column_8"}  # the first one tells how many rows there are
        taken.clear()


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_masked_values_are_missing(dtype: Any) -> None:
    masked = np.ma.masked_array(np.array([1, 2, 3], dtype), [False, True, False])
    for source in (masked, {"y": masked}):
        np.testing.assert_array_equal(table.read(source).column("y").values, [1.0, np.nan, 3.0])
    assert table.read({"y": np.ma.masked_array([4, 5])}).column("y").kind == "integer"
    assert table.read({"y": np.ma.masked_array(["a", "b"], [True, False])}).column("y").values.tolist() == [-1, 0]
