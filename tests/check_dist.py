"""Whether what `make dist` built is fit to be published.

    python tests/check_dist.py dist

The archive of sources holds every file that git tracks, and builds in a clean folder. The wheel is for every Python of
one platform and holds the kernel, whose plain code demands no vector instructions; installed into an empty environment,
where no compiler can be found, it forecasts in the kernel. Without the kernel the same test fails, as it must.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KERNEL = re.compile(r"statecast/model/kernel/statecast_kernel\.(so|dll|dylib)")
COMPILERS = ("cc", "c++", "gcc", "g++", "clang", "clang++", "cl", "cmake", "ninja", "make")
VECTORS = re.compile(r"%[yz]mm\d")


def main(folder: Path) -> None:
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    with tempfile.TemporaryDirectory() as scratch:
        sources = unpacked(sdist, Path(scratch))
        check_complete(sources)
        check_builds(sources, Path(scratch) / "wheels")
        check_wheel(wheel)
        check_instructions()
        check_installed(wheel, Path(scratch) / "empty")
    print(f"{sdist.name} and {wheel.name} are fit to be published")


def unpacked(sdist: Path, folder: Path) -> Path:
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return folder / sdist.name.removesuffix(".tar.gz")


def check_complete(sources: Path) -> None:
    """Every file that git tracks is there as it is, and no other but the metadata."""
    tracked = {name for name in git("ls-files", "-z").split("\0") if name}
    packed = {str(file.relative_to(sources).as_posix()) for file in sources.rglob("*") if file.is_file()}
    different = sorted((packed - {"PKG-INFO"}) ^ tracked)
    require(not different, f"the archive and git differ in {different}")
    changed = [name for name in tracked if (ROOT / name).read_bytes() != (sources / name).read_bytes()]
    require(not changed, f"in the archive these are others: {changed}")


def check_builds(sources: Path, wheels: Path) -> None:
    """A wheel can be built from nothing but the archive; with the plain loops alone, which compile quickly."""
    settings = "-Ccmake.define.STATECAST_VECTORS=OFF"
    build(sources, "--wheel", "--outdir", str(wheels), settings)
    (wheel,) = wheels.iterdir()
    require(any(KERNEL.fullmatch(name) for name in zipfile.ZipFile(wheel).namelist()), "a build left the kernel out")


def check_wheel(wheel: Path) -> None:
    """One kernel, types, tables and the licence, for every Python of one platform."""
    tags = wheel.stem.split("-")[2:]
    require(tags[:2] == ["py3", "none"] and tags[2] != "any", f"{wheel.name}: expected py3-none-<platform>")
    require(sys.platform != "linux" or "manylinux" in tags[2], f"{wheel.name} was not repaired")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        kernels = [name for name in names if KERNEL.fullmatch(name)]
        require(len(kernels) == 1, f"{wheel.name} holds {len(kernels)} kernels, expected one")
        for name in ("statecast/py.typed", "statecast/data/tables/ATTRIBUTION.md"):
            require(name in names, f"{wheel.name} lacks {name}")
        require(any(name.endswith("licenses/LICENSE") for name in names), f"{wheel.name} lacks the licence")


def check_instructions() -> None:
    """Vector instructions stand in the code of their own sets only, so that any processor of the family can load it."""
    built = next((ROOT / "build" / "kernel").glob("statecast_kernel.*"), None)  # which still has its symbols
    if shutil.which("objdump") is None or built is None:
        print("vector instructions were not looked for: that takes objdump and a build in build/kernel")
        return
    listing = run(["objdump", "--disassemble", "--demangle", "--no-show-raw-insn", str(built)])
    wrong, name = set(), ""
    for line in listing.splitlines():
        if line.endswith(">:"):
            name = line
        elif VECTORS.search(line) and not re.search(r"statecast::(avx2|avx512|avx512_bf16|amx)::", name):
            wrong.add(name)
    require(not wrong, f"these functions need vector instructions on any processor: {sorted(wrong)}")


def check_installed(wheel: Path, folder: Path) -> None:
    """It forecasts where there is no compiler, with every kind of processor in mind, and not without its kernel."""
    venv.create(folder, with_pip=True)
    binaries = folder / ("Scripts" if os.name == "nt" else "bin")
    python = binaries / "python"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "STATECAST_"))}
    environment["PATH"] = str(binaries)
    tools = [name for name in COMPILERS if shutil.which(name, path=environment["PATH"])]
    require(not tools, f"the empty environment has {tools}")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", wheel]
    run(install, env=environment, cwd=folder)
    check = [python, "-I", ROOT / "tests" / "installed.py"]
    for choice in ("auto", "plain"):
        print(run(check, env=environment | {"STATECAST_KERNEL": choice}, cwd=folder).strip())
    (kernel,) = folder.rglob("statecast_kernel.*")
    kernel.unlink()
    result = subprocess.run(check, env=environment, cwd=folder, capture_output=True, text=True)
    missing = result.returncode != 0 and "was not built" in result.stderr
    require(missing, f"without its kernel the wheel should fail, but: {result.stdout}{result.stderr}")


def build(sources: Path, *words: str) -> None:
    command = [sys.executable, "-m", "build", *words, str(sources)]
    run(command, env=os.environ | {"STATECAST_REQUIRE_KERNEL": "1"})


def git(*words: str) -> str:
    return run(["git", *words], cwd=ROOT)


def run(command: list[object], **options: object) -> str:
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    require(result.returncode == 0, f"{' '.join(map(str, command))} failed:\n{result.stdout}{result.stderr}")
    return result.stdout


def require(condition: bool, message: str) -> None:
    if not condition:
        sys.exit(f"not fit to be published: {message}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
