"""The page in a real browser, against a real server: what it shows is what the server says, and nothing goes wrong."""

from __future__ import annotations

import contextlib
import json
import math
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
]

from forecast_cases import model, watching  # noqa: E402
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect  # noqa: E402 - after the skip

from statecast.model import archive  # noqa: E402

SERIES, ROWS = 40, 60
ODD = "<b>no</b> & \"quoted\" 'é' /50 %?#"  # a name that is no markup and no address
FIRST = 1_767_225_600  # 2026-01-01 00:00:00Z
PATIENCE = 15_000  # milliseconds
expect.set_options(timeout=PATIENCE)


def stamp(hour: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(FIRST + 3600 * hour))


def name(n: int) -> str:
    return ODD if n == 7 else f"site-{n:03d}"


def level(n: int, hour: int) -> float:
    return round(10 * (n + 1) + (n + 1) * math.sin(hour * math.tau / 24 + n) + 0.37 * ((hour * 7 + n) % 5), 2)


def rows(first: int, count: int) -> list[dict[str, Any]]:
    hours = range(first, first + count)
    return [{"site": name(n), "hour": stamp(hour), "load": level(n, hour)} for hour in hours for n in range(SERIES)]


class Server:
    """A server in a process of its own."""

    def __init__(self, folder: Path, *options: str, **settings: Any) -> None:
        self.folder, self.options, self.token = folder, options, ""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        settings = {"tz": "Europe/Madrid", "horizon": 6, "lags": 4} | settings
        archive.save(watching(model(**settings)), folder / "load.safetensors")
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "statecast", "serve", str(self.folder / "load.safetensors")]
        command += ["--state", str(self.folder / "state"), "--port", str(self.port), *self.options]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.url}/readyz", timeout=5).close()
                return
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end, "the server is not ready"
            time.sleep(0.1)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def ask(self, path: str, body: Any = None) -> Any:
        headers = {"content-type": "application/json"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/v1/{path}", data, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def send(self, body: Any) -> None:
        results = self.ask("observations", body)["results"]
        assert {result["status"] for result in results} == {"accepted"}, results[:3]


@contextlib.contextmanager
def serving(folder: Path, *options: str, **settings: Any) -> Iterator[Server]:
    server = Server(folder, *options, **settings)
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("full")) as full:
        full.send(rows(0, ROWS))
        yield full


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Visit:
    """A page, and everything that went wrong on it."""

    def __init__(self, browser: Browser, server: Server, **options: Any) -> None:
        shape = {"viewport": {"width": 1440, "height": 900}, "timezone_id": "America/New_York"}
        self.context: BrowserContext = browser.new_context(**shape | options)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.server, self.faults = server, list[str]()
        self.addresses = list[str]()
        self.page.on("console", lambda m: m.type in ("error", "warning") and self.faults.append(m.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self.addresses.append(request.url))

    def open(self, place: str = "") -> Page:
        self.page.goto(f"{self.server.url}/{place}")
        return self.page

    def table(self) -> Page:
        page = self.open()
        page.wait_for_selector(".row:not(.waiting)")
        return page


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    """A visitor who tolerates no fault."""
    visitor = Visit(browser, server)
    yield visitor
    visitor.context.close()
    assert not visitor.faults
    assert all(address.startswith(server.url) for address in visitor.addresses)


def shows(text: str, value: float | None) -> None:
    """Assert that a string is this number, rounded to as many decimals as it has."""
    if value is None:
        assert text == "–"
        return
    plain = text.replace("−", "-").replace(",", "").removesuffix(" %")
    decimals = len(plain.partition(".")[2])
    assert abs(float(plain) - value) <= 0.5001 * 10.0**-decimals, (text, value)


def texts(page: Page, column: str) -> list[str]:
    """A column of the table, by the rows' places."""
    cells = page.eval_on_selector_all(
        ".row:not(.waiting)",
        "(rows, column) => rows.map(r => [+r.getAttribute('aria-rowindex'), r.querySelector(column).innerText.trim()])",
        f".{column}",
    )
    return [text for _, text in sorted(cells)]


def series_of(server: Server, id: str) -> Any:
    return server.ask(f"series/{quote(id, safe='')}")


def place_of(id: str) -> str:
    return f"#/series/{quote(id, safe='')}"


# --- the overview


def test_the_tiles_say_what_the_server_says(visit: Visit) -> None:
    page = visit.table()
    status = visit.server.ask("status")
    tiles = {tile.locator(".label").inner_text(): tile for tile in page.locator(".tile").all()}
    assert list(tiles) == ["Rows a second", "Answered within", "Series", "Alarms", "Skill over naive"]
    assert tiles["Series"].locator("b").inner_text() == str(SERIES) == str(status["series"])
    assert tiles["Rows a second"].locator(".note").inner_text() == f"{SERIES * ROWS:,} in all"
    assert tiles["Alarms"].locator("b").inner_text() == str(status["alarms"])
    shows(tiles["Skill over naive"].locator("b").inner_text(), status["skill"] and 100 * status["skill"])
    expect(page.locator(".state")).to_have_text("Live")
    assert page.locator(".plot canvas").count() == 2
    assert "6 steps of 1h ahead" in page.locator(".model").inner_text()


def test_the_rows_of_the_table_are_the_servers(visit: Visit) -> None:
    page = visit.table()
    listing = visit.server.ask("series?limit=100")["series"]
    columns = {key: texts(page, key) for key in ("id", "value", "time", "count", "error", "skill", "alarms")}
    assert len(columns["id"]) >= 10
    for n, summary in enumerate(listing[: len(columns["id"])]):
        assert columns["id"][n] == summary["id"]
        shows(columns["value"][n], summary["value"])
        shows(columns["count"][n], summary["count"])
        shows(columns["error"][n], summary["error"]["statecast"])
        shows(columns["skill"][n], 100 * summary["skill"])
        assert columns["time"][n] == "2026-01-03 12:00"  # in Madrid, where the last row's 11:00Z is noon
    assert page.locator(".row:not(.waiting) .spark-line").first.get_attribute("d").count("L") >= 5


def test_a_click_on_a_head_sorts(visit: Visit) -> None:
    page = visit.table()
    keys = {"error": lambda s: s["error"]["statecast"]}
    for column in ("value", "time", "count", "error", "skill", "score", "alarms", "id"):
        head = page.locator(f"[data-sort={column}]")
        for descending in (False, True) if column == "id" else (True, False):
            with page.expect_response(lambda answer: "/v1/series?" in answer.url and "offset=0" in answer.url):
                head.locator("button").click()
            expect(head).to_have_attribute("aria-sort", "descending" if descending else "ascending")
            query = f"series?limit=12&sort={column}&descending={str(descending).lower()}"
            listing = visit.server.ask(query)["series"]
            expect(page.locator(".row:not(.waiting) .id").first).to_have_text(listing[0]["id"])
            values = [keys.get(column, lambda s, key=column: s[key])(summary) for summary in listing]
            known = [value for value in values if value is not None]
            assert known == sorted(known, reverse=descending)
            if column in ("id", "value"):
                assert texts(page, "id")[:10] == [summary["id"] for summary in listing[:10]]


def test_a_search_looks_anywhere_in_names(visit: Visit) -> None:
    page = visit.table()
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("site-01")
    expect(page.locator("#series-title + p")).to_have_text("10 with “site-01”")
    assert texts(page, "id") == [name(n) for n in range(10, 20)]
    page.fill("#search", "nowhere")
    expect(page.locator(".table .nothing")).to_contain_text("No name has “nowhere” in it")
    page.get_by_role("button", name="Show all series").click()
    expect(page.locator("#series-title + p")).to_have_text(str(SERIES))
    page.fill("#search", "ITE-02")  # anywhere in a name, in any letters
    expect(page.locator("#series-title + p")).to_have_text("10 with “ITE-02”")
    page.keyboard.press("Escape")
    expect(page.locator("#series-title + p")).to_have_text(str(SERIES))


def test_keys_do_all_that_a_pointer_does(visit: Visit) -> None:
    page = visit.table()
    page.keyboard.press("/")
    page.keyboard.type("site-0")
    expect(page.locator("#series-title + p")).to_contain_text("39 with")
    page.keyboard.press("ArrowDown")
    grid = page.locator(".grid")
    expect(grid).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    expect(page.locator(".row.active .id")).to_have_text(name(1))
    assert grid.get_attribute("aria-activedescendant") == page.locator(".row.active").get_attribute("id")
    outline = grid.evaluate("e => getComputedStyle(e).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("End")
    expect(page.locator(".row.active .id")).to_have_text(name(SERIES - 1))
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(name(0))
    page.keyboard.press("ArrowRight")
    expect(page.locator("h1")).to_have_text(name(1))
    page.keyboard.press("ArrowLeft")
    expect(page.locator("h1")).to_have_text(name(0))
    page.keyboard.press("Escape")
    expect(grid).to_be_focused()
    expect(page.locator(".row.active .id")).to_have_text(name(0))
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(name(0))
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.locator("#search").blur()
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_be_hidden()


def test_an_answer_that_comes_late_moves_no_focus(visit: Visit) -> None:
    page = visit.table()
    held: list[Route] = []
    page.route(lambda url: "/v1/series/" in url, lambda route: held.append(route))
    page.locator(".grid").focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(ODD)
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    with page.expect_event("requestfinished", lambda request: request == held[-1].request):
        for route in held:
            route.continue_()
    page.evaluate("new Promise((done) => setTimeout(done, 100))")  # for whoever waits for the answers
    expect(page.locator("#search")).to_be_focused()


# --- one series


def test_a_series_is_shown_as_the_server_has_it(visit: Visit) -> None:
    page = visit.table()
    page.locator(".row", has_text=name(3)).click()
    expect(page.locator("h1")).to_have_text(name(3))
    page.wait_for_selector(".plot.tall canvas")
    summary, history = series_of(visit.server, name(3)), visit.server.ask(f"series/{name(3)}/history?limit=500")
    names, values = (page.locator(f".facts {kind}").all_inner_texts() for kind in ("dt", "dd:not(.note)"))
    facts = dict(zip(names, values, strict=True))
    shows(facts["Mean absolute error"], summary["error"]["statecast"])
    shows(facts["Naive error"], summary["error"]["naive"])
    shows(facts["Skill over naive"], 100 * summary["skill"])
    shows(facts["Rows"], summary["count"])
    forecast = visit.server.ask(f"series/{name(3)}/forecast")
    readout = page.locator("div.readout").inner_text()
    first = re.search(r"forecast ([\d.,−]+)\s+80 % ([\d.,−]+) to ([\d.,−]+)", readout)
    assert first, readout
    for text, key in zip(first.groups(), ("statecast", "statecast-lo-80", "statecast-hi-80"), strict=True):
        shows(text, forecast[key][0])
    cells = [row.split("\t") for row in page.locator("tbody tr").all_inner_texts()]
    assert len(cells) == 50
    for n, (hour, value, predicted, error, inside, *_) in enumerate(cells, 1):
        assert hour == f"2026-01-{3 - (n > 13) - (n > 37):02d} {(13 - n) % 24:02d}:00"
        shows(value, history["values"][-n])
        shows(predicted, history["forecast"][-n])
        shows(error, history["values"][-n] - history["forecast"][-n])
        bounds = (history[side]["80"][-n] for side in ("lower", "upper"))
        assert inside == ("yes" if next(bounds) <= history["values"][-n] <= next(bounds) else "no")


def test_the_pictures_cursor_tells_of_the_past(visit: Visit) -> None:
    page = visit.open(place_of(name(5)))
    plot = page.locator(".plot.tall")
    plot.locator("canvas").wait_for()
    plot.focus()
    page.keyboard.press("Home")
    readout = page.locator("div.readout")
    expect(readout).to_contain_text("2026-01-01 01:00")
    history = visit.server.ask(f"series/{name(5)}/history?limit=500")
    page.get_by_role("button", name="Last 50").click()
    plot.focus()
    page.keyboard.press("Home")
    expect(readout).to_contain_text("2026-01-01 11:00")
    page.keyboard.press("ArrowRight")
    expect(readout).to_contain_text("2026-01-01 12:00")
    numbers = re.search(r"came ([\d.,−]+)\s*forecast ([\d.,−]+)", readout.inner_text())
    assert numbers
    shows(numbers[1], history["values"][11])
    shows(numbers[2], history["forecast"][11])
    page.keyboard.press("Escape")
    expect(readout).not_to_contain_text("came")
    expect(page.locator("h1")).to_have_text(name(5))  # a second Escape would leave


def test_gates_are_shown_when_they_are_asked_for(visit: Visit) -> None:
    page = visit.open(place_of(name(5)))
    page.locator("summary", has_text="Inside").click()
    page.locator(".gates canvas").first.wait_for()
    gates = visit.server.ask(f"series/{name(5)}/gates?limit=168")
    assert page.locator(".gates canvas").count() == len(gates["layers"]) >= 4
    size = page.locator(".gates canvas").first.evaluate("e => [e.width, e.height]")
    assert size == [ROWS, 4]
    inked = page.locator(".gates canvas").first.evaluate(
        "e => e.getContext('2d').getImageData(0, 0, e.width, e.height).data.some(x => x)"
    )
    assert inked


def test_the_parts_of_the_forecast_are_shown_when_they_are_asked_for(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, targets=2) as here:
        targets = model(targets=2).schema.target
        here.send([{**row, targets[0]: row["load"], targets[1]: 5 - row["load"]} for row in rows(0, 30)])
        visitor = Visit(browser, here, viewport={"width": 390, "height": 844})
        page = visitor.open(place_of(name(5)))
        lines, total = page.locator(".explanation tbody tr"), page.locator(".explanation .sum td").first
        page.locator("summary", has_text="comes from").click()
        page.locator(".explanation canvas").wait_for()
        for target in targets:
            page.get_by_role("button", name=target, exact=True).click()
            explanation = here.ask(f"series/{name(5)}/explanation")
            forecast = explanation["statecast"][target]
            page.wait_for_function(
                "x => Math.abs(document.querySelector('.explanation .sum td').innerText.replace('−', '-') - x) < .01",
                arg=forecast[0],
            )
            used = {
                part["name"]: part["amounts"][target][0]
                for part in explanation["parts"]
                if any(part["amounts"][target])
            }
            texts = {one.locator("th").inner_text(): one.locator("td").first.inner_text() for one in lines.all()}
            shows(texts.pop("forecast"), forecast[0])
            assert set(texts) == set(used)
            for part, text in texts.items():
                shows(text.lstrip("+"), used[part])
            assert page.locator(".explanation rect").count() == len(used) - 1  # the level has no bar
        page.locator(".explanation .plot").focus()
        page.keyboard.press("End")
        expect(page.locator("caption")).to_contain_text("Step 6")
        shows(total.inner_text(), forecast[5])
        latest = total.inner_text()
        here.send([{targets[0]: 9, targets[1]: 9, "site": name(5), "hour": stamp(30)}])
        expect(total).not_to_have_text(latest)  # it goes on by itself
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        visitor.context.close()
        assert not visitor.faults


def test_what_is_known_ahead_is_asked_for_and_used(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, covariates=True, tz=None) as here:
        ahead = {"heat": [1.0] * 7, "open": ["no"] * 7}
        for hour in range(30):
            here.send([{"site": "a", "hour": stamp(hour)[:-1], "load": level(1, hour), "wind": 2, "area": 3, **ahead}])
        visitor = Visit(browser, here, viewport={"width": 390, "height": 844})
        page = visitor.open(place_of("a"))
        readout = page.locator("div.readout")
        expect(readout).to_contain_text("No forecast: Say what is known ahead")
        page.locator("summary", has_text="comes from").click()
        expect(page.locator(".explanation")).to_contain_text("Say what is known ahead")
        known = {"heat": [5, 6, 7, 8, 9, 10], "open": ["yes"] * 6}
        page.fill("input[name=heat]", "5, 6, 7 8 9;10")
        page.fill("input[name=open]", "yes")  # for every step
        page.get_by_role("button", name="Forecast", exact=True).click()
        (forecast,) = here.ask("forecast", {"ids": ["a"], "known": {"a": known}})["forecasts"]
        expect(readout).to_contain_text("80 %")
        numbers = re.search(r"forecast ([\d.,−]+)", readout.inner_text())
        assert numbers
        shows(numbers[1], forecast["statecast"][0])
        expect(page.locator(".explanation tbody")).to_contain_text("heat")
        page.locator("summary", has_text="Inside").click()  # past covariates are kept, so the network can be run again
        page.locator(".gates canvas").first.wait_for()
        page.fill("input[name=heat]", "5, 6")  # too few
        page.get_by_role("button", name="Forecast", exact=True).click()
        expect(readout).to_contain_text("its columns have 2, 6 values")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        visitor.context.close()
        assert all("400" in fault for fault in visitor.faults)


def test_a_name_is_never_markup(visit: Visit) -> None:
    page = visit.table()
    page.locator(".row", has_text=ODD).locator("a").click()
    expect(page.locator("h1")).to_have_text(ODD)
    page.wait_for_selector(".plot.tall canvas")
    assert page.locator("b", has_text=re.compile("^no$")).count() == 0
    page.reload()
    expect(page.locator("h1")).to_have_text(ODD)
    page.wait_for_selector(".plot.tall canvas")


def test_a_series_that_is_not_here_is_said_to_be_unknown(browser: Browser, server: Server) -> None:
    visitor = Visit(browser, server)
    page = visitor.open(place_of("nobody"))
    expect(page.locator(".card.nothing")).to_contain_text("nobody")
    page.keyboard.press("Escape")
    page.wait_for_selector(".row:not(.waiting)")
    visitor.context.close()
    assert all("404" in fault for fault in visitor.faults)


def test_an_alarm_is_shown_at_once_and_leads_to_its_series(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as here:
        here.send(rows(0, 40))
        visitor = Visit(browser, here)
        page = visitor.table()
        here.send([{"site": name(11), "hour": stamp(40), "load": 9000}])
        alarm = page.locator(".alarm-item").first
        expect(alarm).to_contain_text("9,000 was unusual")
        expect(alarm.locator("time")).to_have_text("2026-01-02 17:00")
        (told,) = (alarm for alarm in here.ask("alarms")["alarms"] if alarm["value"] == 9000)
        assert told["kind"] == "unusual"
        number = re.search(r"score ([+−\d.]+)\.", alarm.inner_text())
        assert number
        shows(number[1], told["score"])
        expect(page.locator(".row", has_text=name(11)).locator(".spark-dot")).to_have_class("spark-dot alarm")
        alarm.locator("a").click()
        expect(page.locator("h1")).to_have_text(name(11))
        expect(page.locator(".alarm-item").first).to_contain_text("9,000 was unusual")
        expect(page.locator("tbody tr").first.locator("td").last).to_have_class("alarm")
        visitor.context.close()
        assert not visitor.faults


def test_several_targets_are_looked_at_one_by_one(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, targets=2, id_kind="integer") as here:
        visitor = Visit(browser, here)
        page = visitor.open()
        expect(page.locator(".welcome pre")).to_contain_text(
            '"site":1,"hour":"2026-01-31 12:00:00Z","y0":41.5,"y1":41.5'
        )
        here.send([{"site": 4, "hour": stamp(hour), "y0": 5 + hour % 3, "y1": 1e4 * (hour % 4)} for hour in range(30)])
        row = page.locator(".row:not(.waiting)")
        expect(row.locator(".value")).to_have_text("7")
        assert row.locator(".spark-line").get_attribute("d").count("L") >= 20
        row.click()
        forecast = here.ask("series/4/forecast")["statecast"]
        for target in ("y1", "y0"):
            page.get_by_role("button", name=target).click()
            number = re.search(r"forecast ([\d.,−]+)", page.locator("div.readout").inner_text())
            assert number
            shows(number[1], forecast[target][0])
        visitor.context.close()
        assert not visitor.faults


# --- how it looks


def test_times_are_the_tables_or_the_readers_and_it_says_which(visit: Visit) -> None:
    page = visit.table()
    assert texts(page, "time")[0] == "2026-01-03 12:00"
    page.get_by_label("Time zone").select_option(label="Your time, America/New_York")
    expect(page.locator(".row:not(.waiting) .time").first).to_have_text("2026-01-03 06:00")
    page.reload()
    expect(page.locator(".row:not(.waiting) .time").first).to_have_text("2026-01-03 06:00")


def test_it_is_light_or_dark_as_the_system_or_as_chosen(browser: Browser, server: Server) -> None:
    grounds = {}
    for scheme in ("light", "dark"):
        visitor = Visit(browser, server, color_scheme=scheme)
        page = visitor.table()
        grounds[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        if scheme == "dark":
            page.keyboard.press("t")  # from the system's to light
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == grounds["light"]
            page.reload()
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == grounds["light"]
        visitor.context.close()
        assert not visitor.faults
    assert grounds["light"] != grounds["dark"]


def test_it_fits_a_phone(browser: Browser, server: Server) -> None:
    visitor = Visit(browser, server, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = visitor.table()
    narrow = "document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(narrow)
    page.get_by_label("Sort by").select_option("value")
    (largest,) = server.ask("series?limit=1&sort=value&descending=true")["series"]
    expect(page.locator(".row:not(.waiting) .id").first).to_have_text(largest["id"])
    page.locator(".row").first.tap()
    page.wait_for_selector(".plot.tall canvas")
    assert page.evaluate(narrow)
    visitor.context.close()
    assert not visitor.faults


def test_everything_that_can_be_pressed_has_a_name(visit: Visit) -> None:
    page = visit.table()
    nameless = """() => [...document.querySelectorAll('button, a, input, select, [tabindex]')].filter(e =>
        e.checkVisibility() && !(e.innerText.trim() || e.ariaLabel || e.title || e.getAttribute('aria-labelledby'))
    ).map(e => e.outerHTML.slice(0, 90))"""
    assert page.evaluate(nameless) == []
    visit.open(place_of(name(2)))
    page.wait_for_selector(".plot.tall canvas")
    assert page.evaluate(nameless) == []


# --- live


def test_the_first_observation_goes_in_as_the_page_says(browser: Browser, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl")
    with serving(tmp_path) as empty:
        visitor = Visit(browser, empty)
        page = visitor.open()
        expect(page.locator(".welcome h2")).to_have_text("No observations yet")
        command = shlex.split(page.locator(".welcome pre").inner_text().replace("\\\n", " "))
        assert command[0] == "curl"
        done = subprocess.run([*command, "-sS", "--fail"], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["results"][0]["status"] == "accepted"
        expect(page.locator(".row:not(.waiting) .id")).to_have_text("first")
        expect(page.locator(".welcome")).to_be_hidden()
        visitor.context.close()
        assert not visitor.faults


def test_it_is_live_and_says_when_it_is_not(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as here:
        here.send(rows(0, 30))
        overview, visitor = Visit(browser, here), Visit(browser, here)
        table, page = overview.table(), visitor.open(place_of(name(4)))
        page.wait_for_selector("tbody tr")
        here.send(rows(30, 1))
        expect(page.locator("tbody tr").first.locator("td").first).to_have_text(f"{level(4, 30):.2f}")
        expect(page.locator(".last")).to_contain_text(f"{level(4, 30):.2f}")
        expect(table.locator(".row", has_text=name(4)).locator(".count")).to_have_text("31")
        assert not visitor.faults
        here.kill()
        expect(page.locator(".state")).to_have_text("Connection lost")
        expect(page.locator(".notice")).to_contain_text("Next try in")
        page.get_by_role("button", name="Try now").dispatch_event("click")
        expect(page.locator(".state")).to_have_text("Connection lost")
        here.start()
        here.send(rows(31, 1))
        expect(page.locator(".state")).to_have_text("Live", timeout=2 * PATIENCE)
        expect(page.locator(".notice")).to_be_hidden()
        expect(page.locator("tbody tr").first.locator("td").first).to_have_text(f"{level(4, 31):.2f}")
        expect(table.locator(".state")).to_have_text("Live", timeout=2 * PATIENCE)
        expect(table.locator(".row", has_text=name(4)).locator(".count")).to_have_text("32")
        for one in (overview, visitor):
            one.context.close()
            assert all("net::ERR" in fault or "503" in fault for fault in one.faults), one.faults


def test_a_token_opens_the_page_and_stands_in_no_address(browser: Browser, tmp_path: Path) -> None:
    from statecast.server.http.tokens import issue

    path = tmp_path / "tokens"
    read, write = issue(path, "read", "reader"), issue(path, "write", "writer")
    with serving(tmp_path, "--tokens", str(path)) as closed:
        closed.token = write
        closed.send(rows(0, 30))
        visitor = Visit(browser, closed)
        page = visitor.open()
        page.fill("#token", "wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#wrong")).to_have_text("The server does not know this token.")
        page.fill("#token", read)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_selector(".row:not(.waiting)")
        expect(page.locator(".state")).to_have_text("Live")
        (cookie,) = visitor.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert cookie["value"] != read and page.evaluate("document.cookie") == ""
        assert page.evaluate("JSON.stringify([localStorage, sessionStorage])").count(read) == 0
        page.reload()
        page.wait_for_selector(".row:not(.waiting)")
        page.get_by_role("button", name="Sign out").click()
        expect(page.locator("#token")).to_be_focused()
        assert visitor.context.cookies() == []
        assert not [address for address in visitor.addresses if read in address]
        visitor.context.close()
        assert all("401" in fault for fault in visitor.faults), visitor.faults
