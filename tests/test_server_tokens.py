"""Tokens of a server: what a file may say, what each scope includes, sessions, and files that change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from statecast.errors import SettingError
from statecast.server.http import tokens
from statecast.server.http.tokens import Access, Tokens, hashed, includes, issue


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def test_a_token_does_what_its_scope_and_those_before_include(path: Path) -> None:
    made = {scope: issue(path, scope, f"my-{scope}") for scope in tokens.SCOPES}
    access = Access(str(path))
    assert not access.open
    for place, scope in enumerate(tokens.SCOPES):
        assert access.scope_of(made[scope], None) == scope
        assert [includes(scope, needed) for needed in tokens.SCOPES] == [n <= place for n in range(3)]
    assert access.scope_of("sc-other", None) is access.scope_of(None, None) is None
    assert includes(None, None)
    assert not includes(None, "read")
    assert Access(None).scope_of(None, None) == "admin"


def test_a_file_holds_hashes_and_is_its_owners(path: Path) -> None:
    token = issue(path, "write", "plant-7")
    text = path.read_text()
    assert token not in text
    assert f"plant-7 write {hashed(token)}" in text
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(token) > 40
    with pytest.raises(SettingError, match="has a token with the name plant-7 already"):
        issue(path, "read", "plant-7")
    for scope, name, message in (
        ("all", "x", "scope 'all': expected read, write, admin"),
        ("read", "a b", "name 'a b'"),
    ):
        with pytest.raises(SettingError, match=message):
            issue(path, scope, name)
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no token"),
        ("# nothing\n\n", "holds no token"),
        ("plant write abc\n", "line 1 is not a token"),
        (f"plant all {hashed('x')}\n", "line 1 is not a token"),
        (f"# one\nplant {hashed('x')}\n", "line 2 is not a token"),
        ("\udcff", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(path: Path, content: str, message: str) -> None:
    path.write_bytes(content.encode(errors="surrogateescape"))
    path.chmod(0o600)
    with pytest.raises(SettingError, match=message):
        Tokens.read(path)


def test_a_file_that_others_may_write_to_is_refused(path: Path) -> None:
    issue(path, "read", "one")
    path.chmod(0o620)
    with pytest.raises(SettingError, match="others than its owner may write to it: chmod 600"):
        Access(str(path))
    with pytest.raises(SettingError, match="cannot be read"):
        Access(str(path) + "-none")


def test_a_session_lasts_as_long_as_its_token(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token, other = issue(path, "read", "one"), issue(path, "admin", "two")
    access = Access(str(path))
    session, second = access.begin(token), access.begin(other)
    assert access.begin("sc-none") is None
    assert (access.scope_of(None, session), access.scope_of(None, second)) == ("read", "admin")
    assert access.scope_of(None, token) is access.scope_of(session, None) is None  # neither is the other
    access.end(second)
    assert access.scope_of(None, second) is None
    monkeypatch.setattr(tokens, "LOOK", 0.0)
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "one" not in line) + "\n")
    os.utime(path, ns=(1, 1))
    assert access.scope_of(None, session) is access.scope_of(token, None) is None
    assert access.scope_of(other, None) == "admin"


def test_a_session_ends_by_itself(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    access = Access((issue(path, "read", "one"), str(path))[1])
    token = issue(path, "read", "two")
    monkeypatch.setattr(tokens, "LOOK", 0.0)
    monkeypatch.setattr(tokens, "SESSION", 0.0)
    assert access.scope_of(None, access.begin(token)) is None


def test_sessions_are_not_without_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = issue(path, "read", "one")
    monkeypatch.setattr(tokens, "SESSIONS", 2)
    access = Access(str(path))
    sessions = [access.begin(token) for _ in range(3)]
    assert [access.scope_of(None, session) for session in sessions] == [None, "read", "read"]


def test_a_file_that_is_broken_later_leaves_the_tokens_as_they_were(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    token = issue(path, "read", "one")
    access = Access(str(path))
    monkeypatch.setattr(tokens, "LOOK", 0.0)
    path.write_text("broken\n")
    assert [access.scope_of(token, None) for _ in range(2)] == ["read", "read"]
    assert [record.getMessage().split(";")[-1] for record in caplog.records] == [" the tokens stay as they were"]
