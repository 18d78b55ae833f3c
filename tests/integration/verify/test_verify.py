"""`verify`: the table holds what was loaded, to the bit, and each difference is named."""

from __future__ import annotations

import io
import random
import zipfile
from datetime import UTC, datetime

from tests.integration.verify.conftest import Bench, places
from tests.support import samples
from tests.support.embedded import query

DAY = 86_400
OTHER_MONTH = samples.START + 30 * DAY  # December 2023; START lies in November.


def make_files() -> dict[str, bytes]:
    """Make three series, one over two months."""
    lines = samples.rows(300, interval=60, seed=1) + samples.rows(200, interval=60, start=OTHER_MONTH, seed=2)
    return {
        "XBTUSD_60.csv": samples.text(lines),
        "XBTEUR_1.csv": samples.file(500, seed=3),
        "sub/ADAUSD_1440.csv": samples.file(30, interval=1440, seed=4),
    }


def test_a_table_that_holds_what_was_loaded_passes(bench: Bench) -> None:
    bench.load(make_files())

    document = bench.verify(code=0)

    assert document["equal"] is True
    assert (document["series"], document["files"], document["rows"]) == (3, 3, 1030)
    assert document["differences"] == document["skipped"] == document["repaired"] == []
    outcome = bench.run("verify")
    assert outcome.code == 0
    assert "holds exactly what was loaded: 3 series, 3 files, 1,030 rows" in outcome.out


def when(seconds: int) -> str:
    """Write an instant as SQL and reports do."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + "Z"


def test_a_change_of_the_last_bit_is_named_and_repaired(bench: Bench) -> None:
    bench.load(make_files())
    before = bench.stored()
    bench.tamper(
        f"UPDATE TABLE_NAME SET high = high * 1.0000000000000002220446049250313"
        f" WHERE time = '{when(samples.START + 7200)}' AND interval_minutes = 60"
    )
    assert bench.stored() != before

    document = bench.verify(code=1)

    [difference] = document["differences"]
    assert places([difference]) == [("BTC", "USD", 60, "2023-11")]
    assert difference["files"] == ["XBTUSD_60.csv"]
    assert (difference["missing"], difference["extra"], difference["changed"]) == (0, 0, 1)
    assert difference["expected"]["rows"] == difference["found"]["rows"] == 300
    assert difference["expected"]["checksum"] != difference["found"]["checksum"]
    [example] = difference["examples"]
    assert example.startswith(f"{when(samples.START + 7200)}: high is ")
    assert places(bench.verify("--repair", code=0)["repaired"]) == [("BTC", "USD", 60, "2023-11")]
    assert bench.stored() == before
    assert bench.verify(code=0)["repaired"] == []


def test_values_that_changed_places_are_noticed_although_their_sums_are_equal(bench: Bench) -> None:
    rows = ["1700006400,5,5,5,5,3,7", "1700010000,6,6,6,6,3,7", "1700013600,7,7,7,7,3,7"]
    bench.load({"XBTUSD_60.csv": samples.text(rows)})
    bench.tamper("UPDATE TABLE_NAME SET close = 12.0 - close + 1.0 - 1.0 WHERE close = 5.0 OR close = 7.0")

    [difference] = bench.verify(code=1)["differences"]

    assert difference["changed"] == 2


def test_no_column_is_forgotten(bench: Bench) -> None:
    bench.load({"XBTUSD_60.csv": samples.file(50, interval=60)})
    for column in ("open", "high", "low", "close", "volume", "trade_count"):
        bench.tamper(f"UPDATE TABLE_NAME SET {column} = {column} + 1 WHERE time = '{when(samples.START + 3600)}'")

        [difference] = bench.verify("--repair", code=0)["repaired"]

        assert difference["changed"] == 1
        assert f"Z: {column} is" in difference["examples"][0]


def test_lost_rows_are_named_by_month_and_loaded_again(bench: Bench) -> None:
    bench.load(make_files())
    before = bench.stored()
    bench.tamper("ALTER TABLE TABLE_NAME DROP PARTITION LIST '2023-12'")

    document = bench.verify(code=1)

    assert places(document["differences"]) == [("ADA", "USD", 1440, "2023-12"), ("BTC", "USD", 60, "2023-12")]
    assert [(d["missing"], d["extra"], d["found"]) for d in document["differences"]] == [(14, 0, None), (200, 0, None)]
    assert document["differences"][1]["expected"]["first"] == when(OTHER_MONTH)
    outcome = bench.run("verify", "--repair")
    assert outcome.code == 0, outcome
    assert "repaired BTC in USD, 60 minutes, 2023-12: 200 rows missing in the table" in outcome.out
    assert bench.stored() == before
    [remark] = bench.world.ask("SELECT reason FROM file WHERE name = 'XBTUSD_60.csv'")
    assert "sent again" in remark["reason"]
    assert {row["state"] for row in bench.world.ask("SELECT state FROM file")} == {"done"}


def test_rows_that_are_too_many_stay_and_are_called_beyond_repair(bench: Bench) -> None:
    bench.load(make_files())
    bench.tamper(
        "INSERT INTO TABLE_NAME SELECT asset_id, dateadd('s', 1, time), open, high, low, close, volume,"
        f" interval_minutes, trade_count, quote_currency, source FROM TABLE_NAME WHERE time = '{when(OTHER_MONTH)}'"
        " AND interval_minutes = 60"
    )

    for arguments in ((), ("--repair",)):
        [difference] = bench.verify(*arguments, code=1)["differences"]
        assert places([difference]) == [("BTC", "USD", 60, "2023-12")]
        assert (difference["missing"], difference["extra"], difference["changed"]) == (0, 1, 0)
        assert difference["examples"] == [f"{when(OTHER_MONTH + 1)}: only in the table"]
        assert "cannot delete" in difference["remedy"]
    assert "2023-12: 1 row too many in the table" in bench.run("verify").out


def test_rows_of_other_sources_and_of_series_that_the_ledger_does_not_know_are_no_concern(bench: Bench) -> None:
    bench.load({"XBTUSD_60.csv": samples.file(50, interval=60)})
    copy = "INSERT INTO TABLE_NAME SELECT asset_id, time, open, high, low, close, volume, {}, trade_count, {}, {}"
    for interval, quote, source in (
        ("interval_minutes", "quote_currency", "'massive'"),
        ("interval_minutes", "'GBP'", "source"),
        ("240", "quote_currency", "source"),
    ):
        bench.tamper(f"{copy.format(interval, quote, source)} FROM TABLE_NAME WHERE volume >= 0 LIMIT 5")

    assert bench.verify(code=0)["rows"] == 50


def test_a_file_that_is_gone_or_changed_is_named(bench: Bench) -> None:
    bench.load(make_files())
    bench.tamper("ALTER TABLE TABLE_NAME DROP PARTITION LIST '2023-12'")
    gone, changed = bench.world.ingested / "XBTUSD_60.csv", bench.world.ingested / "ADAUSD_1440.csv"
    gone.rename(bench.world.root / "elsewhere.csv")
    changed.write_bytes(changed.read_bytes().replace(b"1", b"2", 1))

    differences = bench.verify("--repair", code=1)["differences"]

    assert [(d["kind"], d["ticker"], d["files"]) for d in differences] == [
        ("archive", "ADA", ["ADAUSD_1440.csv"]),
        ("archive", "BTC", ["XBTUSD_60.csv"]),
    ]
    assert "another content" in differences[0]["reason"]
    assert f"not at {gone} any more" in differences[1]["reason"]


def test_overlapping_files_are_compared_under_the_rule_of_precedence(bench: Bench) -> None:
    old = samples.rows(300, interval=60, seed=1, trades=10)
    better = samples.rows(40, interval=60, seed=2, start=samples.START + 100 * 3600, trades=20)
    worse = samples.rows(400, interval=60, seed=3, trades=5)
    bench.load({"XBTUSD_60.csv": samples.text(old)})
    bench.load({"BTCUSD_60.csv": samples.text(worse), "sub/XBTUSD_60.csv": samples.text(better)})

    document = bench.verify(code=0)

    assert (document["series"], document["files"], document["rows"]) == (1, 3, 740)
    # A row of the losing file in the place of the winner's is found, and put right by what won.
    before = bench.stored()
    bench.tamper(f"UPDATE TABLE_NAME SET trade_count = 10 WHERE time = '{when(samples.START + 100 * 3600)}'")
    [difference] = bench.verify("--repair", code=0)["repaired"]
    assert difference["examples"] == [f"{when(samples.START + 100 * 3600)}: trade_count is 10, the files say 20"]
    assert sorted(difference["files"]) == ["BTCUSD_60.csv", "XBTUSD_60.csv"]
    assert bench.stored() == before


def test_irregular_files_are_read_as_they_were_loaded(bench: Bench) -> None:
    good = samples.rows(60, interval=60, seed=5)
    unsorted = [*good[30:], *good[:30], good[3].replace(",", ",9", 1)]
    with_bad_rows = [*good[:10], "1700006400,1,2", "nonsense", *good[10:]]
    six_columns = [row.rpartition(",")[0] for row in good]
    unterminated = samples.text(good) + b"1700500000,1,1"
    bench.load(
        {
            "XBTUSD_60.csv": samples.text(unsorted),
            "ETHUSD_60.csv": samples.text(with_bad_rows),
            "ADAUSD_60.csv": b"time,open,high,low,close,volume\r\n" + "\r\n".join(six_columns).encode() + b"\r\n",
            "SOLUSD_60.csv": unterminated,
        }
    )

    assert bench.verify(code=0)["files"] == 4
    bench.tamper("UPDATE TABLE_NAME SET trade_count = 0 WHERE trade_count = null")
    [difference] = bench.verify(code=1)["differences"]
    assert (difference["ticker"], difference["changed"]) == ("ADA", 60)
    assert difference["examples"][0].endswith("trade_count is 0, the files say None")


def test_numbers_beyond_the_fingerprint_are_compared_row_by_row(bench: Bench) -> None:
    rows = [
        "1700006400,0,0,0,0,0,0",
        "1700010000,1e300,1e300,1e-300,1e300,1e300,2147483647",
        "1700013600,5e-324,5e-324,5e-324,5e-324,5e-324,1",
        "1700017200,1,1,1,1,1,1",
    ]
    bench.load({"XBTUSD_60.csv": samples.text(rows)})

    assert bench.verify(code=0)["rows"] == 4
    bench.tamper("UPDATE TABLE_NAME SET close = 1e-300 WHERE time = '2023-11-15'")
    [difference] = bench.verify(code=1)["differences"]
    assert difference["examples"] == ["2023-11-15T00:00:00Z: close is 1e-300, the files say 0.0"]


def test_only_the_chosen_series_are_compared(bench: Bench) -> None:
    bench.load(make_files())
    bench.tamper("UPDATE TABLE_NAME SET close = close + 1 WHERE interval_minutes = 1")

    assert bench.verify("--intervals", "60,1440", code=0)["series"] == 2
    assert bench.verify("--tier", "TIER2", code=0)["series"] == 0
    assert bench.verify("--tier", "tier1", "--intervals", "60", code=0)["files"] == 1
    assert places(bench.verify("--tier", "TIER1", code=1)["differences"]) == [("BTC", "EUR", 1, "2023-11")]
    assert bench.run("verify", "--intervals", "7").code == 2
    assert bench.run("verify", "--tier", "TIER9").code == 2
    assert "nothing to verify" in bench.run("verify", "--tier", "TIER3").out


def test_a_series_that_is_being_loaded_is_skipped_and_said_so(bench: Bench) -> None:
    bench.load(make_files())
    bench.tamper("UPDATE TABLE_NAME SET close = close + 1")
    bench.world.ask(
        "INSERT INTO file (path, name, device, inode, size, mtime_ns, ctime_ns, ticker, category, quote,"
        " interval_minutes, state) SELECT 'x', 'BTCUSD_60.csv', 0, 0, 0, 0, 0, ticker, category, quote,"
        " interval_minutes, 'loading' FROM file WHERE name = 'XBTUSD_60.csv'"
    )

    document = bench.verify("--tier", "TIER1", "--repair", code=0)

    assert places(document["repaired"]) == [
        ("ADA", "USD", 1440, "2023-11"),
        ("ADA", "USD", 1440, "2023-12"),
        ("BTC", "EUR", 1, "2023-11"),
    ]
    [skipped] = document["skipped"]
    assert (skipped["ticker"], skipped["interval_minutes"]) == ("BTC", 60)
    assert "BTCUSD_60.csv is being loaded" in skipped["reason"]


def test_members_of_a_zip_are_compared_with_what_the_zip_holds(bench: Bench) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("master_q4/XBTUSD_60.csv", samples.file(50, interval=60))
        archive.writestr("master_q4/ETHUSD_60.csv", samples.file(60, interval=60, seed=2))
    bench.load({"Kraken_OHLCVT.zip": content.getvalue()})
    before = bench.stored()

    assert bench.verify(code=0)["rows"] == 110
    bench.tamper("UPDATE TABLE_NAME SET close = close + 1 WHERE time < '2023-11-16' AND asset_id = 1")
    assert len(bench.verify("--repair", code=0)["repaired"]) == 1
    assert bench.stored() == before
    [zip_path] = (bench.world.root / "ingested" / "zips").iterdir()
    zip_path.unlink()
    differences = bench.verify(code=1)["differences"]
    assert {(d["kind"], *d["files"]) for d in differences} == {
        ("archive", "XBTUSD_60.csv"),
        ("archive", "ETHUSD_60.csv"),
    }
    assert all(str(zip_path) in difference["reason"] for difference in differences)
    assert not list((bench.world.root / ".feefifod").rglob("verify-*"))


def test_without_a_table_there_is_nothing_to_compare_with(bench: Bench) -> None:
    outcome = bench.run("verify")

    assert outcome.code == 1
    assert "nothing to verify: no file was loaded yet" in outcome.err
    assert "setup-questdb-schema" in outcome.err


def test_whatever_came_in_over_whatever_else_is_understood(bench: Bench) -> None:
    chance = random.Random(5)
    names = ("XBTUSD_60.csv", "BTCUSD_60.csv", "sub/XBTUSD_60.csv", "sub/BTCUSD_60.csv")
    for _ in range(3):
        files = {}
        for name in names:
            hours = chance.sample(range(60), 30)
            if chance.random() < 0.5:
                hours.sort()
            rows = [
                f"{samples.START + hour * 3600},{chance.random()},9,0.1,{chance.random()},{chance.randrange(1, 3)},"
                f"{chance.randrange(1, 4)}"
                for hour in hours
            ]
            files[name] = samples.text(rows)
        bench.load(files)

        assert bench.verify(code=0)["series"] == 1
    assert len(bench.stored()) == 60


def test_a_table_that_is_gone_is_named_with_what_was_in_it(bench: Bench) -> None:
    bench.load({"XBTUSD_60.csv": b"1704067200,1,2,0.5,1.5,10,3\n"})
    query(bench.world.questdb_url, f'DROP TABLE "{bench.world.table}"')

    outcome = bench.run("verify")

    assert outcome.code == 1
    assert "the ledger knows 1 loaded file" in outcome.err
