"""The files of the page, read once and served from memory.

The page is a handful of plain files in `page/`, as they are: nothing is built, nothing comes from another address, and
the security policy says so to the browser. `index.html` names its files below `page/current/`; what is sent names them
below a hash of all files instead, so that a browser may keep them for ever and still gets a new version whole: modules
name each other relative to themselves, and so stay in one version. Every address is relative to the page, which
therefore also works below a prefix that a proxy takes away. Who takes files compressed gets them so.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

FOLDER = Path(__file__).parents[1] / "page"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
"""Of the files that are served, by how their names end; no other file is."""
POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect")),
        *(f"{kind} 'none'" for kind in ("base-uri", "form-action", "frame-ancestors")),
        "require-trusted-types-for 'script'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
FOREVER, EACH_TIME = "public, max-age=31536000, immutable", "no-cache"


@cache
def files() -> dict[str, bytes]:
    """The page's files by their names relative to its folder, such as `main.js` and `vendor/uplot.js`."""
    paths = sorted(path for path in FOLDER.rglob("*") if path.suffix in TYPES)
    return {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in paths}


@cache
def version() -> str:
    """A hash of all files: sixteen hexadecimal digits."""
    digest = hashlib.sha256()
    for name, content in files().items():
        digest.update(b"%s\0%d\0" % (name.encode(), len(content)) + content)
    return digest.hexdigest()[:16]


def routes() -> list[Route]:
    """The page at `/`, its files below `/page/`, and its icon: for everybody, since they tell nothing of any series."""
    from starlette.routing import Route

    return [
        Route("/", _index),
        Route("/page/{version}/{name:path}", _file),
        Route("/favicon.ico", _icon),
    ]


async def _index(request: Request) -> Response:
    content = files()["index.html"].replace(b"page/current/", f"page/{version()}/".encode())
    return _answer(request, "index.html", content, EACH_TIME)


async def _file(request: Request) -> Response:
    """A file, kept for ever where it was asked for by this version; by an older one it is answered but not kept."""
    name = request.path_params["name"]
    content = files().get(name)
    if content is None:
        from starlette.responses import JSONResponse

        return JSONResponse({"error": f"the page has no file {name}"}, 404)
    return _answer(request, name, content, FOREVER if request.path_params["version"] == version() else EACH_TIME)


async def _icon(request: Request) -> Response:
    return _answer(request, "icon.svg", files()["icon.svg"], EACH_TIME)


def _answer(request: Request, name: str, content: bytes, kept: str) -> Response:
    """A file, or 304 where the browser has it."""
    from starlette.responses import Response

    packed = _takes_gzip(request.headers.get("accept-encoding", ""))
    if packed:
        content = compressed(content)
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = HEADERS | {"cache-control": kept, "etag": tag, "vary": "accept-encoding"}
    headers |= {"content-encoding": "gzip"} if packed else {}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=TYPES[Path(name).suffix])


@cache
def compressed(content: bytes) -> bytes:
    """A file as gzip has it; the same bytes each time."""
    return gzip.compress(content, 9, mtime=0)


def _takes_gzip(accepted: str) -> bool:
    """Whether gzip is among the encodings that a header accepts."""
    parts = [part.replace(" ", "").split(";") for part in accepted.lower().split(",")]
    return any(name == "gzip" and weight[:1] != ["q=0"] for name, *weight in parts)
