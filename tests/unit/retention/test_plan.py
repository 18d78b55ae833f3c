"""Which files of a series may go, and what can still be said of its months."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from feefifod.catalog.verification import DoneFile, PrunedFile
from feefifod.model import Category, Series
from feefifod.retention.plan import choose_going, find_unprovable
from feefifod.sink.checksums import Checksum
from feefifod.verify.pruned import judge_months, list_months, name_months, read_checksum, write_checksum

SERIES = Series("BTC", Category.CRYPTO, "USD", 60)
DAY = 86_400
JANUARY, FEBRUARY, MARCH = (int(datetime(2024, month, 1, tzinfo=UTC).timestamp()) for month in (1, 2, 3))


def kept(number: int, first: int, last: int, content: bytes = b"") -> DoneFile:
    now = datetime(2024, 6, 1, tzinfo=UTC)
    place = f"/x/{number}.csv".encode()
    return DoneFile(
        number, f"{number}.csv", SERIES, 1, content or bytes([number]), False, False, 1, 0, first, last, now, place,
        False, None, None, "",
    )  # fmt: skip


def pruned(number: int, first: int, last: int) -> PrunedFile:
    return PrunedFile(f"{number}.csv", SERIES, bytes([number]), first, last)


def us(seconds: int) -> int:
    return seconds * 1_000_000


def checksum(**changes: object) -> Checksum:
    values: dict[str, object] = {
        "rows": 2,
        "first_us": 1,
        "last_us": 2,
        "counted": 2,
        "trades": 2**53 + 1,
        "price_least": 0.1,
        "price_most": 5e3,
        "volume_least": 1e-3,
        "volume_most": 9.0,
        "sums": (2**64 - 1, 2**63 + 1, 0, 1, 2, 3),
    }
    return Checksum(**{**values, **changes})  # type: ignore[arg-type]  # Changes are those of the fields.


def test_files_of_one_month_go_together() -> None:
    one, two, three = kept(1, JANUARY, JANUARY + DAY), kept(2, JANUARY + 9 * DAY, FEBRUARY), kept(3, MARCH, MARCH + DAY)
    files = [one, two, three]

    assert choose_going(files, lambda _: True) == files
    assert choose_going(files, lambda file: file is not two) == [three]
    assert choose_going(files, lambda file: file is three) == [three]
    # What stays makes its neighbour stay, and that one the next.
    chain = [kept(1, JANUARY, FEBRUARY), kept(2, FEBRUARY + DAY, MARCH), kept(3, MARCH + DAY, MARCH + 2 * DAY)]
    assert choose_going(chain, lambda file: file.id != 1) == []


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 90), st.booleans()), max_size=12))
def test_no_month_is_torn_apart(drawn: list[tuple[int, int, bool]]) -> None:
    files = [
        kept(number, JANUARY + start * DAY, JANUARY + (start + length) * DAY)
        for number, (start, length, _) in enumerate(drawn)
    ]
    wanted = {number for number, (_, _, may) in enumerate(drawn) if may}

    going = {file.id for file in choose_going(files, lambda file: file.id in wanted)}

    assert going <= wanted
    staying = {month for file in files if file.id not in going for month in list_months(file)}
    for file in files:
        if file.id in going:
            assert staying.isdisjoint(list_months(file))
        elif file.id in wanted:
            assert any(
                not set(list_months(file)).isdisjoint(list_months(other)) for other in files if other is not file
            )


def test_what_can_be_said_of_a_month() -> None:
    gone = [pruned(1, JANUARY, FEBRUARY + DAY)]
    known = {us(JANUARY): None, us(FEBRUARY): None}

    alone = judge_months([], gone, known)
    assert (alone.standing, alone.blind) == ({us(JANUARY), us(FEBRUARY)}, frozenset())
    beside = judge_months([kept(2, FEBRUARY + 5 * DAY, MARCH)], gone, known)
    assert beside == alone
    over = judge_months([kept(2, FEBRUARY, MARCH)], gone, known)
    assert (over.standing, over.blind) == (frozenset(), {us(JANUARY), us(FEBRUARY)})
    again = judge_months([kept(3, JANUARY, FEBRUARY + DAY, b"\1")], gone, known)
    assert again == judge_months([], [], {})
    unknown = judge_months([], gone, {us(JANUARY): None})
    assert (unknown.standing, unknown.blind) == ({us(JANUARY)}, {us(FEBRUARY)})


def test_what_cannot_be_proven() -> None:
    file = kept(1, JANUARY, JANUARY + DAY)

    assert find_unprovable([file], ()) == {}
    assert find_unprovable([file], (us(FEBRUARY),), (us(MARCH),)) == {}
    assert "pruned" in find_unprovable([file], (us(JANUARY),))[1]
    assert "large" in find_unprovable([file], (), (us(JANUARY),))[1]


def test_a_fingerprint_is_read_as_it_was_written() -> None:
    assert read_checksum(write_checksum(checksum())) == checksum()


def test_months_for_people() -> None:
    assert name_months([us(FEBRUARY)]) == "2024-02"
    assert name_months([us(MARCH), us(JANUARY)]) == "2 months from 2024-01 to 2024-03"
