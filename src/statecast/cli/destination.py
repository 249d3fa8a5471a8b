"""The folder that `fit` writes: what it may hold already, what is replaced, and what an unfinished fit leaves.

Nothing of anyone else's is ever deleted: `--force` replaces the files that statecast writes, and only in a folder that
a fit of statecast has written before. Whether it can be written is tested before training, not after.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from statecast.errors import OutputError
from statecast.files import write_bytes
from statecast.report.folder import FILES, MODEL, PLOTS

CHECKPOINT = "checkpoint"
STUDY = "study.sqlite3"
# Names under which a file is written before it is renamed (see `files`), of the files that a fit writes.
TRIAL = "statecast.trial"  # written before the work and removed at once
LEFTOVER = re.compile(r"\.\w+\.(safetensors|toml|json|csv|html|png|trial)\.[0-9a-f]{8}\.tmp|" + re.escape(TRIAL))


@dataclass
class Destination:
    """The folder of a fit.

    Attributes:
        folder: its path.
        made: folders that were made for it, the innermost first; they are removed again if they stay empty.
    """

    folder: Path
    work = "fit"
    made: list[Path] = field(default_factory=list)

    @property
    def checkpoint(self) -> Path:
        """Where checkpoints lie while a fit runs."""
        return self.folder / CHECKPOINT

    @property
    def unfinished(self) -> bool:
        """Whether a fit was interrupted here and can be continued."""
        return any(self.checkpoint.glob("*.safetensors"))

    def prepare(self, resume: bool, force: bool) -> None:
        """Make sure that the results may and can be written here.

        Raises:
            OutputError: they may not, or cannot.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise OutputError(f"--out {self.folder} is a file: give a folder")
        if resume:
            self._require_checkpoint()
        elif self._names():
            self._require_permission(force)
        self._try()
        if not resume:
            self.clear_checkpoint()

    def _names(self) -> list[str]:
        """The files in the folder, except those that a fit leaves if it is killed before its first checkpoint."""
        if not self.folder.is_dir():
            return []
        here = [path for path in self.folder.iterdir() if not LEFTOVER.fullmatch(path.name)]
        return sorted(path.name for path in here if path != self.checkpoint or _holds_anything(path))

    def _require_checkpoint(self) -> None:
        if not self.unfinished:
            done = "; the fit there is complete" if (self.folder / MODEL).exists() else ""
            raise OutputError(
                f"--resume: there is no unfinished fit in {self.folder}{done}: leave --resume out to start one"
            )

    def _require_permission(self, force: bool) -> None:
        """Refuse to replace anything without --force, and anything that statecast did not write."""
        if self.unfinished and not force:
            raise OutputError(
                f"{self.folder} holds an unfinished {self.work}: add --resume to continue it, or --force to start over"
            )
        ours = (self.folder / MODEL).exists() or self.unfinished
        if not force:
            way = "add --force to replace what statecast wrote there, or choose" if ours else "choose"
            raise OutputError(f"{self.folder} exists and is not empty: {way} another folder")
        if not ours:
            names = self._names()
            examples = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
            raise OutputError(
                f"{self.folder} holds files that no fit of statecast wrote ({examples}): --force replaces only what "
                "statecast wrote; choose another folder"
            )

    def _try(self) -> None:
        """Write a small file, so that an unwritable folder is reported before the work."""
        missing = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
        trial = self.folder / TRIAL
        try:
            write_bytes(trial, b"statecast")
        except OutputError as error:
            reason = getattr(error.__cause__, "strerror", None) or error
            raise OutputError(f"--out {self.folder} cannot be written: {reason}; choose another folder") from error
        finally:
            with contextlib.suppress(OSError):
                trial.unlink()
            self.made = missing
            if not self.folder.is_dir():
                self.abandon()

    def abandon(self) -> None:
        """Remove the folders that were made, as far as they are empty."""
        with contextlib.suppress(OSError):
            if not self.unfinished:
                self.clear_checkpoint()
            for path in self.made:
                path.rmdir()

    def finish(self, written: Iterable[Path]) -> None:
        """Remove the checkpoint of a complete fit, and files of an earlier fit that this one did not write."""
        from statecast.report.page import CAPTIONS

        current = {path.resolve() for path in written}
        pictures = [self.folder / PLOTS / f"{name}.png" for name in CAPTIONS]
        for path in [*(self.folder / name for name in FILES if name != MODEL), *pictures]:
            if path.resolve() not in current:
                path.unlink(missing_ok=True)
        self.clear_checkpoint()
        _clear(self.folder, "")
        _clear(self.folder / PLOTS, "")

    def clear_checkpoint(self) -> None:
        """Remove the checkpoint."""
        _clear(self.checkpoint, "*.safetensors")
        with contextlib.suppress(OSError):
            self.checkpoint.rmdir()


class StudyDestination(Destination):
    """The folder of a study: it is unfinished while it holds trials and no model, and can always be gone on with."""

    work = "study"

    @property
    def study(self) -> Path:
        """Where its trials lie."""
        return self.folder / STUDY

    @property
    def unfinished(self) -> bool:
        """Whether a study was interrupted here and can be continued."""
        return self.study.exists() and not (self.folder / MODEL).exists()

    def prepare(self, resume: bool, force: bool) -> None:
        """See `Destination`.

        Raises:
            OutputError: the results may not, or cannot be written here.
        """
        super().prepare(resume, force)
        if not resume:
            for path in self.folder.glob(f"{STUDY}*"):  # with the journal of one that was killed
                path.unlink(missing_ok=True)

    def _require_checkpoint(self) -> None:
        if not self.study.exists():
            raise OutputError(f"--resume: there is no study in {self.folder}: leave --resume out to begin one")


def _clear(folder: Path, pattern: str) -> None:
    """Remove files of a pattern, and temporary ones that a kill left behind."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_file() and (LEFTOVER.fullmatch(path.name) or (pattern and path.match(pattern))):
            path.unlink(missing_ok=True)


def _holds_anything(folder: Path) -> bool:
    return not folder.is_dir() or any(not LEFTOVER.fullmatch(path.name) for path in folder.iterdir())
