"""The page's files as the server sends them: small, of the right types, kept where they may be, all its own."""

from __future__ import annotations

import asyncio
import re
from html.parser import HTMLParser

import pytest

pytest.importorskip("starlette", reason="the extra `server` is not installed")
pytest.importorskip("httpx", reason="the extra `server` is not installed")

import httpx
from starlette.applications import Starlette

from statecast.server.http import static

LARGEST, LARGEST_SENT = 160_000, 75_000  # bytes of all files together, and as they are sent to a browser
MARKUP = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
OTHERS = ["nothing.js", "../static.py", "vendor/../../static.py", "%2e%2e/static.py", "/etc/passwd"]


class Browser:
    """Asks the routes of the page."""

    app = Starlette(routes=static.routes())

    def get(self, address: str, headers: dict[str, str] | None = None) -> httpx.Response:
        async def answer() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://page") as client:
                return await client.get(address, headers=headers, follow_redirects=True)

        return asyncio.run(answer())


@pytest.fixture(scope="module")
def client() -> Browser:
    return Browser()


class Addresses(HTMLParser):
    """The addresses and the attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.attributes: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        self.attributes += [name for name, _ in attrs]


def policy(headers: dict[str, str]) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in headers["content-security-policy"].split(";"))
    return {name: value for name, _, value in parts}


def test_the_page_is_small() -> None:
    assert sum(map(len, static.files().values())) < LARGEST
    assert sum(len(static.compressed(content)) for content in static.files().values()) < LARGEST_SENT


@pytest.mark.parametrize(
    ("accepted", "packed"), [("br, gzip;q=0.5", True), ("gzip;q=0", False), ("", False), ("identity", False)]
)
def test_files_are_sent_compressed_to_whoever_takes_them_so(client: Browser, accepted: str, packed: bool) -> None:
    address = f"/page/{static.version()}/main.js"
    answer = client.get(address, headers={"accept-encoding": accepted})
    assert answer.content == static.files()["main.js"]  # httpx unpacks
    assert answer.headers.get("content-encoding") == ("gzip" if packed else None)
    assert int(answer.headers["content-length"]) < len(static.files()["main.js"]) / 2 or not packed
    assert answer.headers["vary"] == "accept-encoding"


def test_every_file_comes_with_its_type_and_is_kept_for_ever(client: Browser) -> None:
    types = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml",
             "txt": "text/plain; charset=utf-8", "html": "text/html; charset=utf-8"}  # fmt: skip
    assert {name.rpartition(".")[2] for name in static.files()} == set(types)
    for name, content in static.files().items():
        answer = client.get(f"/page/{static.version()}/{name}")
        assert (answer.status_code, answer.content) == (200, content)
        assert answer.headers["content-type"] == types[name.rpartition(".")[2]]
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_older_version_is_answered_but_not_kept(client: Browser) -> None:
    answer = client.get("/page/0123456789abcdef/main.js")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")


def test_the_index_is_asked_for_each_time_and_names_one_version(client: Browser) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    addresses = [text for text in Addresses(answer.text).addresses if not text.startswith("#")]
    assert len(addresses) == 6
    for address in addresses:
        assert address.startswith(f"page/{static.version()}/"), address
        assert client.get("/" + address).status_code == 200


def test_what_the_browser_has_is_not_sent_again(client: Browser) -> None:
    for address in ("/", f"/page/{static.version()}/main.js", "/favicon.ico"):
        tag = client.get(address).headers["etag"]
        again = client.get(address, headers={"if-none-match": tag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert client.get(address, headers={"if-none-match": '"another"'}).status_code == 200


def test_nothing_but_the_servers_own_files_may_run_or_load(client: Browser) -> None:
    for address in ("/", f"/page/{static.version()}/main.js"):
        rules = policy(dict(client.get(address).headers))
        assert rules.pop("require-trusted-types-for") == "'script'"
        assert rules["default-src"] == "'none'" and rules["frame-ancestors"] == "'none'"
        assert set(rules.values()) == {"'self'", "'none'"}
    page = Addresses(client.get("/").text)
    assert not [name for name in page.attributes if name.startswith("on") or name == "style"]


def test_no_file_names_an_outside_address() -> None:
    names = {"http://www.w3.org/2000/svg"}  # of a kind of element, and never fetched
    for name, content in static.files().items():
        if name.startswith("vendor/"):
            continue
        text = content.decode()
        assert set(re.findall(r"(?:https?:)?//[\w-]+(?:\.[\w-]+)+[\w/.-]*", text)) <= names, name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            name
        )
    scripts = [text.decode() for name, text in static.files().items() if name == "vendor/uplot.js"]
    assert re.findall(r"https?://[^\s)]+", scripts[0]) == ["https://github.com/leeoniya/uPlot"]  # in its first comment


def test_what_is_not_ours_bears_its_licence() -> None:
    assert static.files()["vendor/uplot-licence.txt"].startswith(b"The MIT License")
    assert b"v1.6.32" in static.files()["vendor/uplot.js"][:60]


def test_modules_import_files_that_are_there() -> None:
    for name, content in static.files().items():
        if name.endswith(".js") and not name.startswith("vendor/"):
            for other in re.findall(r'from "\./([\w.]+)"', content.decode()):
                assert other in static.files(), f"{name} imports {other}"


@pytest.mark.parametrize("name", OTHERS)
def test_no_other_file_is_served(client: Browser, name: str) -> None:
    answer = client.get(f"/page/current/{name}")
    assert answer.status_code == 404
