"""What each extra takes: packages, megabytes on the disk, and seconds of processor time of `pip install`.

    python benchmarks/install.py dist/statecast-*.whl [EXTRA …]

Each extra is installed into an environment of its own, and then removed. How long a download takes depends on the
network, so it is the processor's time that is told. Prints the table of docs/install.md.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SIZE = 1e6  # bytes of a megabyte


def main(wheel: str, *names: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = names or ("", *(name for name in project["optional-dependencies"] if name not in ("dev", "cuda")))
    print("| extra | packages | MB | processor seconds |\n| --- | --: | --: | --: |")
    for extra in extras:
        requirement = f"{Path(wheel).resolve()}{f'[{extra}]' if extra else ''}"
        with tempfile.TemporaryDirectory(prefix="statecast-install-") as folder:
            count, size, seconds = installed(requirement, Path(folder))
        print(f"| {f'`{extra}`' if extra else ''} | {count} | {size / SIZE:.0f} | {seconds:.0f} |", flush=True)


def installed(requirement: str, folder: Path) -> tuple[int, int, float]:
    """Packages, bytes, and seconds of processor time of an installation into a folder."""
    venv.create(folder)  # without pip: what is counted then is what was installed
    before = processor_seconds()
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*command, "--disable-pip-version-check", requirement], check=True)
    seconds = processor_seconds() - before
    (site,) = folder.glob("lib/python*/site-packages")
    size = sum(path.lstat().st_size for path in site.rglob("*"))
    return len(list(site.glob("*.dist-info"))), size, seconds


def processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main(*sys.argv[1:])
