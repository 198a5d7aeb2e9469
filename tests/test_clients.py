from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.clients import (
    MAX_LINE_CHARS,
    MIN_SECRET_CHARS,
    Secrets,
    check_address,
    encodable,
    error_words,
    plain_line,
    read_json,
    read_key,
    retry_after,
)
from agentgym.faults import ConfigError


@pytest.mark.parametrize("url", ["http://127.0.0.1:80/v1", "https://host", "https://[::1]:8/x?a=b"])
def test_addresses(url: str) -> None:
    check_address(url)


@pytest.mark.parametrize("url", ["", "host/v1", "ftp://host", "http://", "http://u:p@host", "http://host#part"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="an address must"):
        check_address(url)


def test_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", " sk-abc \n")
    assert read_key("A_KEY") == "sk-abc"
    for value, message in (("", "'A_KEY' is not set"), ("a b", "cannot be a key"), ("schlüssel", "cannot be a key")):
        monkeypatch.setenv("A_KEY", value)
        with pytest.raises(ConfigError, match=message) as error:
            read_key("A_KEY")
        assert not value or value not in str(error.value)


@given(secret=st.text("abc123-", min_size=MIN_SECRET_CHARS), text=st.text("xyz ", max_size=20))
def test_secrets_are_hidden_wherever_they_are(secret: str, text: str) -> None:
    secrets = Secrets([f"Bearer {secret}"])
    said = f"{text}{secret}{text}"
    assert secret not in secrets.hide(said)
    hidden = secrets.hide_in({said: [said, {"x": said}, 7]})
    assert secret not in json.dumps(hidden)
    assert hidden[f"{text}***{text}"][2] == 7


def test_what_is_too_short_hides_nothing() -> None:
    assert Secrets(["abc", ""]).hide("abc") == "abc"


@given(text=st.text(max_size=2 * MAX_LINE_CHARS))
def test_a_line_is_one_line(text: str) -> None:
    line = plain_line(text)
    assert len(line) <= MAX_LINE_CHARS
    assert line.isprintable()


@given(text=st.text(st.characters(), max_size=20))
def test_every_text_can_be_written(text: str) -> None:
    assert len(encodable(text).encode().decode()) == len(text)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        (" 1.5 ", 1.5),
        ("-2", 0.0),
        ("inf", None),
        ("nan", None),
        ("", None),
        ("tomorrow", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 99 Jan 1970 00:00:00 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after(value) == seconds


def test_a_date_to_wait_for() -> None:
    date = datetime.now(UTC) + timedelta(seconds=30)
    assert retry_after(format_datetime(date, usegmt=True)) == pytest.approx(30, abs=2)
    assert retry_after(format_datetime(date.replace(tzinfo=None))) == pytest.approx(30, abs=2)


@given(st.text())
def test_any_header_is_read(value: str) -> None:
    seconds = retry_after(value)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"code": "c", "type": "t", "message": "m", "detail": "d"}}, "c t m d"),
        ({"error": {"code": 400, "message": "m"}}, "m"),
        ({"error": "text"}, "text"),
        ({"detail": "Not Found"}, "Not Found"),
        ("plain", "plain"),
        (None, ""),
        ([1], ""),
    ],
)
def test_the_words_of_an_error(body: Any, words: str) -> None:
    assert error_words(body) == words


def test_what_is_no_json() -> None:
    assert read_json(b'{"a": 1}') == {"a": 1}
    assert [read_json(data) for data in (b"", b"<html>", b"[" * 100_000, b"\xff")] == [None] * 4
