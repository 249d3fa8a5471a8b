"""From what `--state` says to a store, and what a store says that it is of.

Two models of one fingerprint can go on with each other's states: the network, its numbers, and what its columns are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from statecast.errors import SettingError
from statecast.model.shapes import leaves
from statecast.model.trained import Model
from statecast.server.store.protocol import Store
from statecast.server.store.sqlite import SqliteStore

POSTGRES = ("postgresql://", "postgres://")


def beside(model: str | Path) -> Path:
    """The folder in which a server keeps its state where none is named: beside the model, with `-state` behind."""
    path = Path(model).absolute()
    return path.with_name(f"{path.name}-state")


def open_store(
    state: str | Path, meta: Mapping[str, str], address: str = "", shards: int = 16, swap: bool = False
) -> Store:
    """The store that a folder or an address names.

    Args:
        state: a folder, or postgresql://….
        meta: what it must be of, by name; a new store is made of it.
        address: at which others reach this server, where several share a database.
        shards: of a new store in a database.
        swap: whether the store may be of another model, which is to be changed.

    Raises:
        OutputError, ModelFileError: see `SqliteStore`.
        SettingError: no such kind of store.
    """
    text = str(state)
    if text.startswith(POSTGRES):
        from statecast.server.store.postgres import PostgresStore

        return PostgresStore(text, meta, address, shards, swap=swap)
    if "://" in text:
        raise SettingError(f"{text!r} is not a store: give a folder, or postgresql://user@host/database")
    return SqliteStore(state, meta, swap=swap)


def fingerprint(model: Model) -> str:
    """The fingerprint, as hexadecimal digits; models that `Model.shares_states` have the same."""
    sums = hashlib.blake2b(digest_size=16)
    sums.update(json.dumps(model.schema.to_json(), sort_keys=True).encode())
    sums.update(repr((model.network, model.layout.parts, model.dtype.str)).encode())
    for path, array in sorted(leaves(model.p).items()):
        sums.update(f"{path}{np.shape(array)}".encode())
        if not isinstance(array, dict):  # a part that holds nothing
            sums.update(np.ascontiguousarray(array).tobytes())
    return sums.hexdigest()


def meta_of(model: Model) -> dict[str, str]:
    """What a store says that it is of."""
    return {"model": fingerprint(model)}
