"""The folder for a browser: what it holds, and in chromium that its numbers are the stream's."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import forecast_cases
import numpy as np
import pytest

from statecast.data import business, zones
from statecast.data.calendar import Frequency
from statecast.errors import MissingDependency
from statecast.estimators import Forecaster
from statecast.export import web
from statecast.export.onnx_file import Package
from statecast.forecast.answer import Forecast
from statecast.forecast.stream import Stream
from statecast.model import archive
from statecast.model.trained import Model

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
PATIENCE = 20_000  # milliseconds


def text_of(time: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time)).strftime("%Y-%m-%d %H:%M:%S")


def script(path: Path) -> Any:
    """The value that a script of the folder holds."""
    text = path.read_text()
    return json.loads(text[text.index("{") : text.rindex("}") + 1])


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """A folder node_modules with files of the right names."""
    folder = tmp_path / "somewhere" / "node_modules"
    for name in web.SOURCES.values():
        (folder / web.NPM / "dist").mkdir(parents=True, exist_ok=True)
        (folder / web.NPM / "dist" / name).write_bytes(name.encode())
    return folder


def test_the_folder_holds_all_that_the_page_asks_for(modules: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    model = forecast_cases.model()
    files = web.export(model, tmp_path / "out", modules)
    html = (tmp_path / "out" / "index.html").read_text()
    asked = set(re.findall(r'(?:src|href)="([^":,]+)"', html))
    assert asked <= {path.name for path in files}
    assert "http:" not in html
    assert "https:" not in html
    value = script(tmp_path / "out" / "model.js")
    assert gzip.decompress(base64.b64decode(value["step"])) == Package(model).step
    runtime = script(tmp_path / "out" / "runtime.js")
    assert {gzip.decompress(base64.b64decode(text)).decode() for text in runtime.values()} == set(web.SOURCES.values())
    before = [path.read_bytes() for path in files]
    assert [path.read_bytes() for path in web.export(model, tmp_path / "out", modules)] == before


def test_the_runtime_is_looked_for_upwards(modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = modules.parent / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert web.runtime_folder(None) == web.runtime_folder(modules) == web.runtime_folder(modules.parent)
    (tmp_path / "bare").mkdir()
    with pytest.raises(MissingDependency, match="npm install onnxruntime-web"):
        web.runtime_folder(tmp_path / "bare")
    (modules / web.NPM / "dist" / web.SOURCES["wasm"]).unlink()
    with pytest.raises(MissingDependency, match=r"has no dist/ort-wasm.*npm install onnxruntime-web@latest"):
        web.runtime_folder(modules)


def test_a_forecaster_writes_the_page(modules: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    forecaster = Forecaster.load(archive.save(forecast_cases.model(), tmp_path / "m.safetensors"))
    assert (tmp_path / "out" / "index.html") in forecaster.export_page(tmp_path / "out", modules)


def test_more_series_than_a_page_holds_are_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx")
    model = forecast_cases.model()
    model = forecast_cases.remembering(model, forecast_cases.panel(model))
    monkeypatch.setattr(web, "MOST_NUMBERS", model.layout.size)
    value = web.described(model)
    assert (value["states"]["ids"], value["leftOut"]) == (["s0"], 1)


# --- in chromium


@pytest.fixture(scope="module")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder node_modules with onnxruntime-web: one that lies here or further up, or else a fresh one."""
    try:
        return web.runtime_folder(None).parents[1]
    except MissingDependency:
        folder = tmp_path_factory.mktemp("npm")
        command = ["npm", "install", "--silent", "--ignore-scripts", "--prefix", str(folder), web.NPM]
        if shutil.which("npm") is None or subprocess.run(command, timeout=300, check=False).returncode:
            pytest.skip("there is no onnxruntime-web, and npm cannot install it")
        return folder / "node_modules"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium is installed")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Visit:
    """The page of a model, opened from the disk, and everything that went wrong on it."""

    def __init__(self, browser: Any, model: Model, folder: Path, npm: Path, **options: Any) -> None:
        files = web.export(model, folder, npm)
        self.context = browser.new_context(timezone_id="America/New_York", **options)
        self.page, self.faults = self.context.new_page(), list[str]()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", lambda m: m.type in ("error", "warning") and self.faults.append(m.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self.require_near(request.url))
        self.page.goto(files[2].as_uri())
        self.page.wait_for_selector("html[data-ready]")

    def require_near(self, address: str) -> None:
        """Nothing comes from afar."""
        if not address.startswith(("file:", "blob:", "data:")):
            self.faults.append(address)

    def close(self) -> None:
        self.context.close()
        assert not self.faults

    def take(self, text: str) -> str:
        self.page.fill("#rows", text)
        self.page.click("#take")
        self.page.evaluate("statecastPage.busy")
        return str(self.page.inner_text("#status"))

    def results(self) -> dict[str, list[float]]:
        lists = "Object.entries(statecastPage.forecast).map(([name, numbers]) => [name, [...numbers]])"
        return dict(self.page.evaluate(lists))

    def apart(self, forecast: Forecast) -> float:
        """How far the numbers on the page are from a stream's, relative to these."""
        expected = {"forecast": forecast.values}
        expected |= {f"lower_{level:g}": forecast.lower[level] for level in forecast.levels}
        expected |= {f"upper_{level:g}": forecast.upper[level] for level in forecast.levels}
        results = self.results()
        assert results.keys() == expected.keys()
        return max(
            float((np.abs(np.array(results[name]) - part.reshape(-1)) / np.abs(part.reshape(-1))).max())
            for name, part in expected.items()
        )


@pytest.mark.heavy
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_page_says_what_the_stream_says(browser: Any, npm: Path, tmp_path: Path, precision: str) -> None:
    model = forecast_cases.model(precision=precision, horizon=4, targets=2, covariates=True, tz="Europe/Madrid")
    table = forecast_cases.panel(model, (30,), gaps=False)
    model = forecast_cases.remembering(model, replace(table, ahead_offsets=table.ahead_offsets))
    stream, last = Stream(model), int(table.time[-1])
    visit = Visit(browser, model, tmp_path / "out", npm)
    rng, labels = np.random.default_rng(0), ("no", "yes")
    times = model.schema.frequency.advance(last, np.arange(1, 46))
    y = 6 + rng.normal(size=(45, 2)).cumsum(axis=0)
    y[rng.random(y.shape) < 0.2] = np.nan
    y[40:] = np.nan  # rows that tell what is known ahead
    wind, heat, doors = rng.normal(size=45), rng.normal(size=45), rng.integers(0, 2, 45)
    skipped = {7, 8, 20}  # missing in the table altogether
    lines, known = ["site,hour,y0,y1,wind,heat,open,area"], []
    for n in range(45):
        known.append({"heat": None, "open": None} if n in skipped else {"heat": heat[n], "open": labels[doors[n]]})
        values = ["" if np.isnan(value) else repr(float(value)) for value in y[n]]
        row = ["s0", f"{text_of(int(times[n]))}Z", *values, repr(float(wind[n])) if n < 40 else ""]
        if n not in skipped:
            lines.append(",".join([*row, repr(float(heat[n])), labels[doors[n]], ""]))
    assert visit.take("\n".join(lines)) == "37 rows taken, 5 known ahead; 4 steps forecast."
    for n in (n for n in range(40) if n not in skipped):
        extras = {"past": {"wind": wind[n]}, "known": known[n : n + 5]}
        forecast = stream.observe("s0", y[n], int(times[n]), **extras)
    assert visit.apart(forecast) <= TOLERANCE[precision]
    shown = visit.page.locator("#table tbody tr").first.locator("td").all_inner_texts()
    assert [float(text) for text in shown[1:2]] == [pytest.approx(float(forecast.values[0, 0]), rel=1e-5)]
    visit.close()


@pytest.mark.heavy
def test_a_forecast_follows_what_is_typed(browser: Any, npm: Path, tmp_path: Path) -> None:
    model = forecast_cases.model(precision="float64", tz="Europe/Madrid")
    table = forecast_cases.panel(model)
    model = forecast_cases.remembering(model, table)
    visit = Visit(browser, model, tmp_path / "out", npm, viewport={"width": 390, "height": 800})
    page, stream = visit.page, Stream(model)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    before = visit.results()
    next_hour = str(page.input_value("#time"))
    for typed in ("7", "7.", "7.2"):
        page.fill("#row [name=load]", typed)
    page.evaluate("statecastPage.busy")
    assert visit.apart(stream.take(["s0"]).observe("s0", 7.2)) <= 1e-12
    page.fill("#row [name=load]", "x")
    page.evaluate("statecastPage.busy")
    assert page.inner_text("#status") == "load: “x” is not a number"
    page.fill("#row [name=load]", "7.5")
    page.press("#row [name=load]", "Enter")
    page.evaluate("statecastPage.busy")
    forecast = stream.observe("s0", 7.5)
    assert visit.apart(forecast) <= 1e-12
    clock = int(forecast.last[0]) + zones.offset_at(int(forecast.last[0]), "Europe/Madrid")
    assert next_hour == text_of(clock)[:16]
    page.click("#undo")
    page.evaluate("statecastPage.busy")
    assert visit.results() == before
    page.select_option("#series", "s1")
    page.evaluate("statecastPage.busy")
    assert visit.apart(stream.take(["s1"]).forecast()) <= 1e-12
    visit.close()


@pytest.mark.heavy
def test_names_are_names_whatever_is_in_them(browser: Any, npm: Path, tmp_path: Path) -> None:
    odd = ("length", "</script><b>'x'\"</b>")
    model = forecast_cases.model(targets=2, precision="float64", time_kind="integer", freq="2", use_calendar=False)
    model = replace(model, schema=replace(model.schema, target=odd, id="<i>&"))
    visit = Visit(browser, model, tmp_path / "out", npm)
    quoted = [f'"{name.replace(chr(34), 2 * chr(34))}"' for name in ("<i>&", "hour", *odd)]
    rows = [f'"a, <b>";{time};"6,5";{time}' for time in (10, 12, 16)]
    assert visit.take("\n".join([";".join(quoted), *rows])) == "3 rows taken; 3 steps forecast."
    stream = Stream(model)
    for time in (10, 12, 16):
        forecast = stream.observe("a, <b>", (6.5, time), time)
    assert visit.apart(forecast) <= 1e-12
    assert visit.page.input_value("#series") == "a, <b>"
    assert visit.take("length,x\n1,2").startswith("The first row has no column “</script>")
    assert "row 2, column length: “x” is not a number" in visit.take("\n".join([";".join(quoted), "b;1;x;2"]))
    assert "16 is not after the last row" not in visit.take("\n".join([";".join(quoted), '"a, <b>";18;1;2']))
    assert "18 is not after the last row, 18" in visit.take("\n".join([";".join(quoted), '"a, <b>";18;1;2']))
    assert visit.page.locator("b, i").count() == 0
    visit.close()


@pytest.mark.heavy
def test_times_go_on_as_the_models_do(browser: Any, npm: Path, tmp_path: Path) -> None:
    visit = Visit(browser, forecast_cases.model(), tmp_path / "out", npm)
    first = forecast_cases.START
    days = replace(business.BusinessDays(closed=True), dates=(first // zones.DAY + 3,))
    frequencies = [Frequency.parse(text) for text in ("15m", "1h", "1d", "1w", "1mo", "1qe", "1y", "B", "B:Sun-Thu")]
    frequencies += [Frequency("business", 1, days=days)]
    advance = "([of, first]) => [...Array(40).keys()].map((k) => String(new Times(of).advance(BigInt(first), k)))"
    count = "([of, a, b]) => [new Times(of).steps(BigInt(a), BigInt(b), 99), String(new Times(of).phase(BigInt(b), 7))]"
    for frequency in frequencies:
        model = forecast_cases.model()
        of = web.times_of(replace(model, schema=replace(model.schema, frequency=frequency)))
        start = int(frequency.advance(first, 0))
        expected = [int(frequency.advance(start, k)) for k in range(40)]
        assert visit.page.evaluate(advance, [of, str(start)]) == [str(time) for time in expected], frequency
        steps = [39, str(int(frequency.steps_between(0, expected[-1])) % 7)]
        assert visit.page.evaluate(count, [of, str(start), str(expected[-1])]) == steps, frequency
    zoned = web.times_of(forecast_cases.model(tz="Europe/Madrid"))
    read = "([of, text]) => [String(new Times(of).parse(text)), new Times(of).format(new Times(of).parse(text))]"
    clocks = {
        "2024-03-31 03:30": "2024-03-31T01:30",
        "2024-10-27 02:30": "2024-10-27T00:30",
        "2024-10-27T02:30+01:00": "2024-10-27T01:30",
    }
    for text, instant in clocks.items():
        time, shown = visit.page.evaluate(read, [zoned, text])
        assert int(time) == int(np.datetime64(instant, "us").astype(np.int64)), text
        assert shown == text[:16].replace("T", " ")
    visit.close()
