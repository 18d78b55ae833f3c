"""URLs of PostgreSQL as people write them."""

from __future__ import annotations

import string
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feefifod.catalog.address import read_address
from feefifod.errors import ConfigError

SPECIAL = "@/?#[]"


@pytest.mark.parametrize("character", SPECIAL)
@pytest.mark.parametrize("password", ["secret{}word", "{}secretword", "123{}456", "a:b{}c"])
def test_an_unescaped_password_is_named_by_its_character_alone(character: str, password: str) -> None:
    password = password.format(character)
    for url in (f"postgresql://me:{password}@db.example/ledger", f"postgres://me:{password}@db:5433/l?sslmode=disable"):
        with pytest.raises(ConfigError) as caught:
            read_address(url)
        assert f"%{ord(character):02X}" in caught.value.remedy
        assert "secret" not in str(caught.value)


def test_a_bare_percent_sign_is_named() -> None:
    with pytest.raises(ConfigError, match=r"%25"):
        read_address("postgresql://me:100%sure@db/ledger")


@given(st.text(alphabet=string.printable, min_size=1, max_size=20))
def test_any_password_that_is_escaped_arrives(password: str) -> None:
    address = read_address(f"postgresql://me:{quote(password, safe='')}@db/ledger")

    assert urlsplit(address.dsn).password == quote(password, safe="")
    assert password not in repr(address) or len(password) < 3


@pytest.mark.parametrize(
    ("url", "settings", "seconds"),
    [
        ("postgresql://h/db", {}, None),
        ("postgresql://h/db?channel_binding=prefer&gssencmode=disable&keepalives=1&keepalives_idle=9", {}, None),
        ("postgresql://h/db?connect_timeout=3", {}, 3.0),
        ("postgresql://h/db?connect_timeout=1&sslcompression=0", {}, 2.0),
        ("postgresql://h/db?connect_timeout=0", {}, None),
        (
            "postgresql://h/db?application_name=mine&search_path=x",
            {"application_name": "mine", "search_path": "x"},
            None,
        ),
        ("postgresql://h/db?options=-csearch_path%3Dx", {"options": "-csearch_path=x"}, None),
    ],
)
def test_parameters_of_libpq_are_understood_or_passed_over(
    url: str, settings: dict[str, str], seconds: float | None
) -> None:
    address = read_address(url)

    assert (address.settings, address.connect_seconds) == (settings, seconds)
    assert "?" not in address.dsn


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("mysql://h/db", "no URL of a PostgreSQL"),
        ("host=h dbname=db", "no URL of a PostgreSQL"),
        ("postgresql://h:port/db", "no URL of a PostgreSQL"),
        ("postgresql://h:99999/db", "no URL of a PostgreSQL"),
        ("postgresql://me:pw@/db", "names no host"),
        ("postgresql://h/db?channel_binding=require", "channel_binding=require"),
        ("postgresql://h/db?gssencmode=require", "gssencmode=require"),
        ("postgresql://h/db?client_encoding=latin1", "client_encoding=latin1"),
        ("postgresql://h/db?hostaddr=10.0.0.1", "hostaddr"),
        ("postgresql://h/db?connect_timeout=soon", "connect_timeout"),
        ("postgresql://h/db?sslmode=verify-full&sslrootcert=/nowhere/ca.pem", "/nowhere/ca.pem"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(url: str, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_address(url)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///ledger?host=/run/postgresql",
        "postgresql://[::1]:5432/ledger",
        "postgresql://one,two:5433/ledger?sslmode=require",
        "postgresql://h/ledger?application_name=a@b",
    ],
)
def test_every_usual_place_is_understood(url: str) -> None:
    assert "/ledger" in read_address(url).shown
