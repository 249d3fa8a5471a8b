"""Commands that tell: forecast, backtest, describe, settings, example; help; JSON; and how errors are shown."""

# ruff: noqa: F401, F811 (fixtures are imported by name and taken by name)

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_cases import TINY, Command, loads, passengers, plain, rich, said, statecast

from statecast import Forecaster, __version__
from statecast.cli import about, main, output
from statecast.config import describe_settings
from statecast.model import archive

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ("fit", "forecast", "backtest", "explain", "update", "stream", "describe", "settings", "example", "gallery")
COMMANDS += ("export", "replay", "tune")
ENDS = {"site-0": "2024-01-03 12", "site-1": "2024-01-03 03", "site-2": "2024-01-04 06"}  # of `loads`, and one hour


# --- forecast


def test_forecast_prints_csv(statecast: Command, plain: Path) -> None:
    lines = statecast.well("forecast", plain, "--horizon", "5", "--levels", "50", "90").out.splitlines()
    assert lines[0] == "unique_id,month,statecast,statecast-lo-50,statecast-hi-50,statecast-lo-90,statecast-hi-90"
    assert [line.split(",")[1] for line in lines[1:]] == [f"1961-0{month}-01" for month in range(1, 6)]
    expected = Forecaster.load(plain).forecast(horizon=5).values[0, :, 0]
    assert [float(line.split(",")[2]) for line in lines[1:]] == pytest.approx(expected, rel=1e-12)


def test_forecast_of_a_table_in_any_order_of_rows(statecast: Command, rich: Path, loads: Path, tmp_path: Path) -> None:
    head, *rows = loads.read_text().splitlines()
    ahead = [
        f"{site},{end}:00:00,,0,no,{area}" for site, end, area in zip(ENDS, ENDS.values(), (10, 20, 30), strict=True)
    ]
    rows += [row.replace("T", " ") for row in ahead]
    (tmp_path / "later.csv").write_text("\n".join([head, *rows]) + "\n")
    np.random.default_rng(0).shuffle(rows)
    (tmp_path / "shuffled.csv").write_text("\n".join([head, *rows]) + "\n")
    one, other = (
        statecast.well("forecast", rich, tmp_path / name, "--horizon", "1", "--json").json["forecast"]
        for name in ("later.csv", "shuffled.csv")
    )
    by_site = [{row["site"]: row for row in rows} for rows in (one, other)]
    assert len(one) == 3
    assert by_site[0] == by_site[1]


def test_forecast_as_json_is_one_document_with_nulls(statecast: Command, plain: Path) -> None:
    result = statecast.well("forecast", plain, "--json", "--levels", "80").json
    assert (result["horizon"], len(result["forecast"])) == (3, 3)
    assert set(result["forecast"][0]) == {"unique_id", "month", "statecast", "statecast-lo-80", "statecast-hi-80"}
    assert result["forecast"][0]["month"] == "1961-01-01"


@pytest.mark.parametrize("name", ["next.csv", "next.csv.gz", "next.parquet"])
def test_forecast_into_a_file(statecast: Command, plain: Path, tmp_path: Path, name: str) -> None:
    from statecast.data.tabular.table import read

    done = statecast.well("forecast", plain, "--out", tmp_path / name)
    assert done.out == f"3 forecasts in {tmp_path / name}\n"
    assert read(tmp_path / name).names[:3] == ("unique_id", "month", "statecast")


def test_what_is_known_ahead_comes_from_a_table(statecast: Command, rich: Path, tmp_path: Path) -> None:
    rows = [f"{site},{np.datetime64(end, 'h') + k}:00:00,yes" for site, end in ENDS.items() for k in range(4)]
    (tmp_path / "future.csv").write_text("site,hour,holiday\n" + "\n".join(rows) + "\n")
    result = statecast.well("forecast", rich, "--future", tmp_path / "future.csv", "--json").json["forecast"]
    assert [row["site"] for row in result] == [site for site in ENDS for _ in range(4)]
    done = statecast("forecast", rich)
    assert done.code == 1
    assert "known" in done.error


def test_several_futures_are_compared(statecast: Command, rich: Path, tmp_path: Path) -> None:
    """By the names of their files."""
    for name, holiday in (("work", "no"), ("rest", "yes")):
        rows = [f"{site},{np.datetime64(end, 'h') + k}:00:00,{holiday}" for site, end in ENDS.items() for k in range(4)]
        (tmp_path / f"{name}.csv").write_text("site,hour,holiday\n" + "\n".join(rows) + "\n")
    futures = ["--future", tmp_path / "work.csv", "--future", tmp_path / "rest.csv"]
    result = statecast.well("forecast", rich, *futures, "--json").json["forecast"]
    assert [row["scenario"] for row in result] == ["work"] * 12 + ["rest"] * 12
    alone = statecast.well("forecast", rich, *futures[2:], "--json").json["forecast"]
    for row, same in zip(result[12:], alone, strict=True):
        assert row["difference"] == pytest.approx(same["statecast"] - result[alone.index(same)]["statecast"])
    done = statecast("forecast", rich, *futures, "--future", tmp_path / "sub" / "rest.csv")
    assert done.code != 0 and "two have the same name" in done.error
    assert "one --future" in statecast("forecast", rich, *futures, "--samples", "2").error


# --- the hint at the end of a fit


def hint(out: str) -> str:
    return next(line for line in out.splitlines() if line.startswith("next: ")).removeprefix("next: ")


def test_the_hint_at_the_end_of_a_fit_is_a_command_that_works(statecast: Command, plain: Path) -> None:
    program, *words = shlex.split(hint(said(plain).out))
    assert program == "statecast"
    assert len(statecast.well(*words).out.splitlines()) == 4


def test_the_hint_says_what_has_to_be_known_ahead(
    statecast: Command, rich: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, _, table = hint(said(rich).out).partition(", ")
    assert table == "where next.csv has site, hour, holiday for the next 4 steps of every series"
    rows = [f"{site},{np.datetime64(end, 'h') + k}:00:00,yes" for site, end in ENDS.items() for k in range(4)]
    (tmp_path / "next.csv").write_text("site,hour,holiday\n" + "\n".join(rows) + "\n")
    monkeypatch.chdir(tmp_path)
    assert len(statecast.well(*shlex.split(command)[1:]).out.splitlines()) == 1 + 12


def test_the_hint_names_a_table_that_reaches_ahead(statecast: Command, tmp_path: Path) -> None:
    days = np.datetime64("2024-01-01") + np.arange(62)
    values = [f"{10 + n % 7}" if n < 60 else "" for n in range(62)]
    table = tmp_path / "a b.csv"
    rows = (f"{day},{value},{n % 7}" for n, (day, value) in enumerate(zip(days, values, strict=True)))
    table.write_text("\n".join(["day,load,open", *rows]))
    roles = ["--target", "load", "--time", "day", "--known", "open", "--horizon", "2"]
    done = statecast.well("fit", table, *roles, "--set", *TINY, "--out", tmp_path / "out")
    words = shlex.split(hint(done.out))
    assert words[-2:] == ["--future", str(table)]
    assert [line.split(",")[1] for line in statecast.well(*words[1:]).out.splitlines()[1:]] == [
        "2024-03-01",
        "2024-03-02",
    ]


# --- export


def test_export_names_its_files(statecast: Command, plain: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
    out = tmp_path / "air.onnx"
    result = statecast.well("export", plain, "--out", out, "--json").json
    assert result["files"]["step"] == str(out)
    assert all(Path(file).stat().st_size > 0 for file in result["files"].values())
    assert result["levels"] == [80, 95]
    assert "takes a row and a state" in statecast.well("export", plain, "--out", out).out
    missing = statecast("export", plain)
    assert missing.code == 2
    assert "give --out FILE.onnx, --web FOLDER" in missing.error


# --- explain


def test_explain(statecast: Command, plain: Path, tmp_path: Path) -> None:
    result = statecast.well("explain", plain, passengers(), "--json", "--out", tmp_path / "e.csv").json
    assert {row["kind"] for row in result["inputs"]} == {"lags", "calendar"}
    assert set(result["inputs"][0]) == {"input", "kind", "importance", "spread"}
    assert result["origins"] > 50
    assert len((tmp_path / "e.csv").read_text().splitlines()) == 1 + len(result["inputs"])
    done = statecast.well("explain", plain, passengers())
    assert "lags 1–4" in done.out
    assert "error when shuffled" in done.out


def test_explain_one_forecast(statecast: Command, plain: Path, tmp_path: Path) -> None:
    picture, numbers = tmp_path / "parts.png", tmp_path / "parts.csv"
    saved = ("--picture", picture, "--out", numbers)
    done = statecast.well("explain", plain, passengers(), "--at", "1955-06-01", *saved, "--json")
    rows = done.json["parts"]
    assert {row["cutoff"] for row in rows} == {"1955-06-01"}
    for month in ("1955-07-01", "1955-08-01", "1955-09-01"):
        parts = [row for row in rows if row["month"] == month]
        assert {"level", "season", "recent values"} <= {row["part"] for row in parts}
        assert sum(row["amount"] for row in parts) == pytest.approx(parts[0]["statecast"], rel=1e-5)
    assert len(numbers.read_text().splitlines()) == 1 + len(rows)
    assert picture.read_bytes()[:4] == b"\x89PNG"
    text = statecast.well("explain", plain, passengers(), "--at", "last").out
    assert text.startswith("passengers, from 1960-12-01")
    assert "recurrence" in text


def test_explain_one_forecast_of_one_series(statecast: Command, rich: Path, loads: Path) -> None:
    at = "2024-01-02T20:00:00"
    rows = statecast.well("explain", rich, loads, "--at", at, "--series", "site-1", "--json").json["parts"]
    assert {row["site"] for row in rows} == {"site-1"}
    assert {row["kind"] for row in rows} >= {"level", "past", "known", "static", "recurrence"}
    assert "no series 'site-9'" in statecast("explain", rich, loads, "--at", at, "--series", "site-9").error
    wrong = statecast("explain", rich, loads, "--series", "site-1")
    assert "go with --at" in wrong.error
    wrong = statecast("explain", rich, loads, "--at", at, "--picture", "parts.pdf")
    assert "expected the name of a PNG file" in wrong.error


# --- backtest


def test_backtest_of_a_model(statecast: Command, plain: Path, tmp_path: Path) -> None:
    done = statecast.well("backtest", plain, passengers(), "--windows", "4", "--step", "3", "--out", tmp_path / "b.csv")
    assert "learned from some of these rows" in done.err  # the model has learned from every row
    assert "seasonal naive" in done.out
    assert len((tmp_path / "b.csv").read_text().splitlines()) == 13
    result = statecast.well("backtest", plain, passengers(), "--windows", "4", "--step", "3", "--json").json
    rows = result["backtest"]
    assert len(rows) == 12
    mae = np.mean([abs(row["y"] - row["statecast"]) for row in rows])
    naive = np.mean([abs(row["y"] - row["seasonal_naive"]) for row in rows])
    assert result["evaluation"]["statecast"]["mae"] == pytest.approx(mae)
    assert result["evaluation"]["skill"]["seasonal_naive"] == pytest.approx(1 - mae / naive)
    inside = [row["statecast-lo-80"] <= row["y"] <= row["statecast-hi-80"] for row in rows]
    assert result["evaluation"]["statecast"]["coverage/80"] == pytest.approx(np.mean(inside))


def test_backtest_says_when_the_network_has_learned_from_the_rows(
    statecast: Command, plain: Path, tmp_path: Path
) -> None:
    """The last 24 rows were not learned from: 8 windows of 3."""
    model = archive.load(plain)
    assert model.training is not None
    val = np.asarray(model.schema.frequency.advance(model.training.val, -24))
    tested = replace(model, training=replace(model.training, val=val))
    path = archive.save(tested, tmp_path / "tested.safetensors")
    assert "not learned from any" in statecast.well("backtest", path, passengers(), "--windows", "8").err
    assert "learned from some of these rows" in statecast.well("backtest", path, passengers(), "--windows", "9").err
    done = statecast.well("backtest", path, passengers(), "--windows", "8", "--json")
    assert (done.json["learned_from"], done.json["refit"]) == (False, False)


def test_backtest_with_a_config_fits_on_the_rows_before(
    statecast: Command, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready, calls = Forecaster.load(plain), []

    def fit(self: Forecaster, source: Any, **options: Any) -> Forecaster:
        calls.append((self.config.changed(), options))
        self._model = ready.model_
        return self

    monkeypatch.setattr(Forecaster, "fit", fit)
    (tmp_path / "air.toml").write_text('horizon = 3\n[data]\ntarget = "passengers"\ntime = "month"\n')
    words = ["--config", tmp_path / "air.toml", passengers(), "--windows", "2", "--step", "4"]
    statecast.well("backtest", *words)
    settings, options = calls[0]
    assert settings == {"horizon": 3, "test_size": 7, "refit": False}
    assert (options["target"], options["time"]) == (("passengers",), "month")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model"], "give the folder of a fit and a table"),
        (["model", "table", "--config", "c.toml"], "takes the table alone: leave out 'model'"),
        (["model", "table", "--set", "hidden=[3]"], "settings go with --config"),
    ],
)
def test_wrong_calls_of_backtest(statecast: Command, words: list[str], message: str) -> None:
    done = statecast("backtest", *words)
    assert done.code == 2
    assert message in done.error


def test_windows_are_checked(statecast: Command, plain: Path) -> None:
    assert statecast("backtest", plain, passengers(), "--windows", "0").code == 2
    too_many = statecast("backtest", plain, passengers(), "--windows", "100")
    assert (too_many.code, "144 rows" in too_many.error) == (1, True)


# --- describe, settings, example


def test_describe_shows_layers_columns_and_scores(statecast: Command, rich: Path) -> None:
    result = statecast.well("describe", rich).out
    for text in ("recurrent 1", "lstm", "temperature", "holiday (2 categories)", "hour, 1h", "3 remembered", "cell"):
        assert text in result
    document = statecast.well("describe", rich, "--json").json
    weights = Forecaster.load(rich).model_.weights
    assert document["parameters"] == sum(layer["parameters"] for layer in document["layers"]) > 0
    assert document["schema"]["target"] == ["load"]
    assert document["series"] == 3
    assert set(weights) >= {"head"}


def test_describe_system(statecast: Command) -> None:
    document = statecast.well("describe", "--system", "--json").json
    assert document["numpy"] == np.__version__
    assert document["training"].startswith("JAX on ")
    assert document["forecasting"].endswith("whole steps of streams in the native kernel")
    assert "forecasting" in statecast.well("describe", "--system").out
    assert statecast("describe").code == 2


def test_settings(statecast: Command) -> None:
    shown = statecast.well("settings", "hidden", "season").out
    assert {line for line in shown.splitlines() if line[0] != " "} == {"season = chosen", "hidden = chosen"}
    assert set(statecast.well("settings", "--json").json) == {name for name, *_ in describe_settings()}
    wrong = statecast("settings", "hiden")
    assert (wrong.code, "did you mean 'hidden'" in wrong.error) == (2, True)


def test_the_settings_page_is_up_to_date(statecast: Command) -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == about.page(), "statecast settings --markdown > docs/settings.md"
    assert statecast.well("settings", "--markdown").out == page


def test_every_default_can_be_typed() -> None:
    from statecast.cli.options import parse_assignments
    from statecast.config import Config

    shown = {name: about._default(default) for name, default, *_ in describe_settings() if default is not None}
    assert Config.of(parse_assignments(f"{name}={text}" for name, text in shown.items())) == Config()


def test_examples(statecast: Command, tmp_path: Path) -> None:
    assert "air_passengers" in statecast.well("example").out
    path = Path(statecast.well("example", "air_passengers").out.strip())
    assert path == passengers()
    statecast.well("example", "air_passengers", "--out", tmp_path / "air.parquet")
    assert (tmp_path / "air.parquet").read_bytes() == path.read_bytes()
    statecast.well("example", "air_passengers", "--out", tmp_path / "air.csv")
    assert (tmp_path / "air.csv").read_text().startswith("month,passengers\n1949-01-01,")
    wrong = statecast("example", "air_passenger")
    assert (wrong.code, "air_passengers" in wrong.error) == (2, True)
    assert statecast("example", "air_passengers", "--out", tmp_path / "air.xlsx").code == 2


# --- help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(statecast: Command, name: str) -> None:
    result = statecast.well(name, "--help").out
    assert re.search(rf"Example: .*statecast\s+{name} ", result, re.DOTALL)
    # Nothing may be listed without saying what it is.
    bare = re.findall(r"^│ \*? *(--[\w-]+|[A-Z_]{3,}) *(?:[A-Z.]+)? +(?:\[required\])? *│$", result, re.MULTILINE)
    assert bare == []


def test_help_names_every_command(statecast: Command) -> None:
    result = statecast.well("--help").out
    assert [name for name in COMMANDS if f"│ {name} " not in result] == []
    assert statecast.well("--version").out == f"{__version__}\n"


# --- errors


def test_wrong_calls(statecast: Command) -> None:
    for words, message in (
        (["forcast", "air"], "there is no command 'forcast'; did you mean 'forecast'? See: statecast --help"),
        (["--json"], "there is no command '--json'; known: fit, forecast, "),
        (["fit", "a.csv", "--out", "o", "--horzon", "3"], "there is no option --horzon; did you mean '--horizon'"),
        (["fit", "--out", "o"], "TABLE is missing: give a table, or --config FILE"),
        (["fit", "a.csv", "--out"], "--out DIR has no value: folder for the model"),
        (["fit", "a.csv", "--out", "o", "--out", "p"], "--out is given more than once; see: statecast fit --help"),
        (["forecast"], "MODEL is missing: folder that fit wrote, or a model file; see: statecast forecast --help"),
        (["fit", "a.csv", "b.csv", "--out", "o"], "b.csv: nothing more was expected here"),
        (["fit", "a.csv", "--out", "o", "--horizon", "many"], "--horizon: 'many' is not a whole number"),
        (["fit", "a.csv", "--out", "o", "--horizon", "1.5"], "--horizon: '1.5' is not a whole number"),
        (["fit", "a.csv", "--out", "o", "--horizon", "0"], "--horizon 0: expected a whole number of at least 1"),
        (["fit", "a.csv", "--out", "o", "--test-size", "half"], "--test-size: 'half' is not a number"),
        (["fit", "a.csv", "--out", "o", "--test-size", "2.5"], "--test-size 2.5: expected a count of rows"),
        (["forecast", "m", "--levels", "80,x"], "--levels: 'x' is not a number"),
        (["forecast", "m", "--json=5"], "--json 5: expected no value: it is a switch"),
    ):
        done = statecast(*words)
        assert done.code == 2, words
        assert message in done.error
        assert ", ;" not in done.error
        assert done.out == ""


def test_arguments_of_the_library_are_said_as_options(statecast: Command, plain: Path, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("day,load\n2024-01-01,3\n")
    fit = ("fit", tmp_path / "one.csv", "--out", tmp_path / "out")
    assert "such as --freq 1h" in statecast(*fit, "--target", "load", "--time", "day").error
    assert statecast(*fit, "--target", "load", "--time", "day", "--freq", "1zz").error.startswith("--freq 1zz is not")
    for words, message in (
        (["--horizon", "0"], "--horizon 0: expected a whole number of at least 1"),
        (["--samples", "0"], "--samples 0: expected a whole number of at least 1"),
        (["--samples", "2", "--seed", "-1"], "--seed -1: expected a whole number of at least 0"),
        (["--levels", "80", "0.9"], "--levels [80, 0.9]: expected a list of 0 to 20 items"),
    ):
        done = statecast("forecast", plain, *words)
        assert (done.code, message in done.error) == (2, True), done.error
    done = statecast("backtest", plain, passengers(), "--step", "0")
    assert (done.code, done.error) == (2, "--step 0: expected a whole number of at least 1")


def test_debug_shows_where_an_error_came_from(statecast: Command, tmp_path: Path) -> None:
    assert statecast("forecast", tmp_path).error.startswith(f"{tmp_path} is a folder without model.safetensors")
    done = statecast("forecast", tmp_path, "--debug")
    assert "Traceback (most recent call last)" in done.err
    assert done.err.splitlines()[-1].startswith("error: ")
    assert done.code == 1


def test_a_fault_of_statecast_is_said_to_be_one(
    statecast: Command, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("first\nsecond")

    monkeypatch.setattr(Forecaster, "forecast", broken)
    done = statecast("forecast", plain)
    assert done.code == 1
    assert done.error.startswith(
        "RuntimeError: first second; this is a fault of statecast: please run it again with --debug"
    )


def test_warnings_for_users_are_lines_and_others_are_not(
    statecast: Command, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forecast = Forecaster.forecast

    def warned(self: Forecaster, *words: Any, **options: Any) -> Any:
        for _ in range(2):
            warnings.warn("color: the model has not\nseen 'mauve'", UserWarning, stacklevel=1)
        return forecast(self, *words, **options)

    monkeypatch.setattr(Forecaster, "forecast", warned)
    done = statecast.well("forecast", plain, "--json")
    assert done.err == "warning: color: the model has not seen 'mauve'\n"
    assert done.json["horizon"] == 3


def test_an_interrupt_is_130(statecast: Command, monkeypatch: pytest.MonkeyPatch, plain: Path) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Forecaster, "forecast", interrupted)
    done = statecast("forecast", plain)
    assert (done.code, done.error) == (130, "interrupted")


@pytest.mark.parametrize("words", [["settings"], ["settings", "hidden", "--json"]])
def test_whoever_does_not_read_is_not_told_of_errors(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "statecast", *words]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, env=buffered)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


# --- what is loaded


def loaded_by(code: str) -> set[str]:
    process = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; sys.stderr.write(' '.join(sys.modules))"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(process.stderr.split())


def test_help_and_forecast_load_no_more_than_they_need(plain: Path) -> None:
    training = {"jax", "jaxlib", "optax", "matplotlib", "pandas", "sklearn", "pyarrow"}
    run = "from statecast.cli import main; main({!r})"
    assert not (training | {"polars"}) & loaded_by(run.format(["fit", "--help"]))
    assert not (training | {"rich"}) & loaded_by(run.format(["forecast", str(plain)]))
    stream = f"import sys; sys.stdin = open('/dev/null'); {run.format(['stream', str(plain)])}"
    assert not (training | {"rich", "polars"}) & loaded_by(stream)


def test_the_command_line_says_what_is_missing(statecast: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cyclopts", None)
    expected = "the command line needs cyclopts, which is not installed: pip install 'statecast[cli]'"
    assert statecast("settings").error == expected


# --- output


def test_json_holds_what_json_can_hold(capsys: pytest.CaptureFixture[str]) -> None:
    output.document({"a": np.array([1.0, np.nan, np.inf]), 80: (np.float32(0.5), None), "p": Path("x"), "f": True})
    assert json.loads(capsys.readouterr().out) == {"a": [1.0, None, None], "80": [0.5, None], "p": "x", "f": True}


def test_times_are_text() -> None:
    stamps = np.array(["2024-01-01T10:00:00", "2024-01-01T10:00:30"], "M8[us]")
    assert output.texts(stamps, True) == ["2024-01-01 10:00:00Z", "2024-01-01 10:00:30Z"]
    assert output.texts(stamps[:1].astype("M8[D]"), False) == ["2024-01-01"]
    assert output.texts(stamps + np.timedelta64(5, "us"), False)[0] == "2024-01-01 10:00:00.000005"


def test_a_terminal_gets_drawn_tables_and_is_spared_long_ones(
    statecast: Command, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(["forecast", str(plain), "--horizon", "70"]) == 0
    assert "─" in terminal.getvalue()
    assert "1961-01-01" in terminal.getvalue()
    monkeypatch.undo()
    assert statecast.capture.readouterr().err == "10 more rows: --out FILE writes all of them, and so does a pipe\n"
