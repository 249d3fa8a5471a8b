"""Orders of a server's series: as they stand where there are few, and kept for a while where there are many."""

from __future__ import annotations

import threading
from typing import Any

import forecast_cases as cases
import numpy as np
import pytest

from statecast.errors import SettingError
from statecast.server.states import orders
from statecast.server.states.orders import Orders, Wish
from statecast.server.states.stepper import Stepper


class Clock:
    """Orders of series whose numbers are set by hand, at a time that is set by hand."""

    def __init__(self, names: list[Any], **settings: Any) -> None:
        self.stepper, self.now = Stepper(cases.model(**settings)), 100.0
        self.orders = Orders(self.stepper, threading.RLock(), lambda: self.now)
        self.add(names)

    def add(self, names: list[Any]) -> None:
        self.stepper.directory.allocate(names)
        self.stepper.ledger.reserve(len(self.stepper.directory.names))
        self.records = self.stepper.ledger.records

    def names(
        self, prefix: str = "", after: Any = None, sort: str = "id", descending: bool = False, contains: str = ""
    ) -> list[Any]:
        numbers = self.orders.numbers(Wish(prefix, contains), after, sort, descending)
        return [self.stepper.directory.names[number] for number in numbers.tolist()]


def test_names_are_in_their_order() -> None:
    clock = Clock(["b", "c", "a", "ab"])
    assert clock.names() == ["a", "ab", "b", "c"]
    assert clock.names(descending=True) == ["c", "b", "ab", "a"]
    assert clock.names("a") == ["a", "ab"]
    assert clock.names(after="ab") == ["b", "c"]
    assert clock.names(after="aa") == ["ab", "b", "c"]
    assert clock.names(after="b", descending=True) == ["ab", "a"]
    assert (clock.orders.count(Wish("")), clock.orders.count(Wish("a")), clock.orders.count(Wish("z"))) == (4, 2, 0)
    clock.add(["aa"])
    clock.stepper.directory.remove(0)
    assert clock.names() == ["a", "aa", "ab", "c"]


@pytest.mark.parametrize("stretch", [2, 100])
def test_a_text_is_searched_anywhere_in_names(monkeypatch: pytest.MonkeyPatch, stretch: int) -> None:
    monkeypatch.setattr(orders, "STRETCH", stretch)
    clock = Clock(["Berlin-1", "Oberlin-2", "ber/3", "a", "Straße"])
    assert clock.names(contains="ber") == ["Berlin-1", "Oberlin-2", "ber/3"]
    assert clock.names(contains="berl") == ["Berlin-1", "Oberlin-2"]
    assert clock.names(contains="1\0O") == []  # no text is in two names
    assert clock.names(contains="BERLIN-2") == ["Oberlin-2"]
    assert clock.names("B", contains="ber") == ["Berlin-1"]
    assert clock.names(contains="ber", after="Berlin-1") == ["Oberlin-2", "ber/3"]
    assert clock.names(contains="ber", descending=True) == ["ber/3", "Oberlin-2", "Berlin-1"]
    assert clock.names(contains="ber", sort="count") == ["Berlin-1", "Oberlin-2", "ber/3"]
    assert clock.names(contains="STRASSE") == ["Straße"]
    assert (clock.orders.count(Wish("", "ber")), clock.orders.count(Wish("", "x"))) == (3, 0)
    clock.add(["Bern"])
    clock.stepper.directory.remove(0)
    clock.now += 10
    assert clock.names(contains="ber") == ["Bern", "Oberlin-2", "ber/3"]
    assert Clock([20, 3, 120], id_kind="integer").names(contains="20") == [20, 120]


def test_a_search_finds_what_a_look_at_each_name_finds() -> None:
    random = np.random.default_rng(0)
    names = ["".join(letters) for letters in random.choice([*"aabc"], (300, 6))] + ["aaaa", "ab\ncab"]
    clock = Clock(list(dict.fromkeys(names)))
    for text in ("a", "aa", "aab", "bcab", "cc", "\n", "abcabc", "A"):
        assert clock.names(contains=text) == sorted(name for name in set(names) if text.casefold() in name), text


def test_numbers_are_in_their_order_and_begin_as_they_are_written() -> None:
    clock = Clock([20, 3, 100, 25], id_kind="integer")
    assert clock.names() == [3, 20, 25, 100]
    assert clock.names("2") == [20, 25]
    assert clock.names(after="20") == [25, 100]


@pytest.mark.parametrize("descending", [False, True])
def test_what_is_unknown_comes_last(descending: bool) -> None:
    clock = Clock(["a", "b", "c", "d"])
    records = clock.records
    records["count"][:4] = [1, 2, 3, 0]
    records["values"][np.arange(3), np.arange(3), 0] = [5.0, np.nan, -1.0]
    records["weight"][:2], records["error"][:2], records["naive"][:2] = 1, [[1.0], [3.0]], [[4.0], [4.0]]
    records["score"][:4] = [np.nan, -2.0, 7.0, np.nan]
    order = {
        "value": [["c", "a"], ["b", "d"]],
        "error": [["a", "b"], ["c", "d"]],
        "skill": [["b", "a"], ["c", "d"]],
        "score": [["b", "c"], ["a", "d"]],
        "count": [["d", "a", "b", "c"], []],
    }
    for sort, (known, unknown) in order.items():
        assert clock.names(sort=sort, descending=descending) == known[:: -1 if descending else 1] + unknown
    with pytest.raises(SettingError, match="sort: got 'colour', expected one of id, time"):
        clock.names(sort="colour")


@pytest.mark.parametrize(("stretch", "kept"), [(2, True), (100, False)])
def test_an_order_of_many_is_kept_for_a_while(monkeypatch: pytest.MonkeyPatch, stretch: int, kept: bool) -> None:
    monkeypatch.setattr(orders, "STRETCH", stretch)
    names = [f"s{n}" for n in range(7)]
    clock = Clock(names)
    clock.records["alarms"][:7] = range(7)
    assert clock.names(sort="alarms") == names
    clock.records["alarms"][:7] = range(7, 0, -1)
    clock.now += orders.FRESH - 0.1
    assert clock.names(sort="alarms") == (names if kept else names[::-1])
    assert clock.names(sort="alarms", descending=True) == names
    clock.now += 0.2
    assert clock.names(sort="alarms") == names[::-1]


def test_few_orders_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "STRETCH", 1)
    monkeypatch.setattr(orders, "ORDERS", 2)
    clock = Clock(["a", "b", "c"])
    sorts = ("time", "count", "alarms")
    for sort in sorts:
        clock.records[sort][:3] = [1, 2, 3]
        assert clock.names(sort=sort) == ["a", "b", "c"]
    for sort in sorts:
        clock.records[sort][:3] = [3, 2, 1]
    assert clock.names(sort="alarms") == clock.names(sort="count") == ["a", "b", "c"]
    assert clock.names(sort="time") == ["c", "b", "a"]  # the first that was asked for is no longer kept
