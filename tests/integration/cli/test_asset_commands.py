"""`create-asset` and `assets`: what is created, changed, imported and refused."""

from __future__ import annotations

import pytest

from tests.support.project import Outcome, Project

HEADER = "ticker,name,category,quote_currency,description"


def create(project: Project, ticker: str, category: str = "STOCK", *more: str) -> Outcome:
    return project.run("create-asset", "--ticker", ticker, "--name", f"{ticker} name", "--category", category, *more)


def list_keys(project: Project, *arguments: str) -> list[tuple[str, str]]:
    assets = project.succeed("assets", "list", "--json", *arguments).document
    return [(asset["category"], asset["ticker"]) for asset in assets]


def test_a_new_asset_is_shown_as_it_is_stored(project: Project) -> None:
    outcome = create(project, "BRK.B", "stock", "--quote-currency", "eur", "--description", " Two words ", "--json")

    assert outcome.code == 0
    assert outcome.document == {
        "id": outcome.document["id"],
        "ticker": "BRK.B",
        "name": "BRK.B name",
        "category": "STOCK",
        "tier": "TIER4",
        "quote_currency": "EUR",
        "description": "Two words",
        "active": True,
    }
    assert isinstance(outcome.document["id"], int)
    assert project.succeed("assets", "list", "--json").document == [outcome.document]


def test_tiers_come_from_the_lists_and_can_be_overridden(project: Project) -> None:
    assert create(project, "ETH", "CRYPTO", "--json").document["tier"] == "TIER1"
    with (project.folder / "config.toml").open("a") as file:
        file.write('tiers = { TIER2 = ["ZZZ"] }\n')

    assert create(project, "ZZZ", "CRYPTO", "--json").document["tier"] == "TIER2"


def test_people_see_the_details(project: Project) -> None:
    outcome = project.succeed("create_asset", "--ticker", "GLD", "--name", "Gold Shares", "--category", "COMMODITY")

    for text in ("GLD", "Gold Shares", "COMMODITY", "USD", "TIER4", "true"):
        assert text in outcome.out


def test_a_duplicate_is_refused_and_another_category_or_case_is_none(project: Project) -> None:
    assert create(project, "T").code == 0

    again = create(project, "T", "STOCK", "--json")

    assert (again.code, again.out) == (1, "")
    assert "STOCK asset T" in again.err
    assert create(project, "T", "CRYPTO").code == 0
    assert create(project, "t").code == 0
    assert list_keys(project) == [("CRYPTO", "T"), ("STOCK", "T"), ("STOCK", "t")]


@pytest.mark.parametrize("ticker", ["", "A B", "A\n", "A\x07", "A" * 33, "\u202eA"])
def test_a_wrong_ticker_is_refused(project: Project, ticker: str) -> None:
    assert create(project, ticker).code == 2
    assert list_keys(project) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--ticker", "A", "--name", "a"],
        ["--ticker", "A", "--name", "a", "--category", "BOND"],
        ["--ticker", "A", "--name", "  ", "--category", "STOCK"],
        ["--ticker", "A", "--name", "a", "--category", "STOCK", "--quote-currency", "U S"],
    ],
)
def test_wrong_options_are_refused(project: Project, arguments: list[str]) -> None:
    assert project.run("create-asset", *arguments).code == 2


def test_lists_are_filtered(project: Project) -> None:
    assert "no assets yet" in project.succeed("assets", "list").out
    assert project.succeed("assets", "list", "--json").document == []
    for ticker, category in (("AAPL", "STOCK"), ("MSFT", "STOCK"), ("EUR", "CURRENCY")):
        create(project, ticker, category)
    project.succeed("assets", "set", "MSFT", "--active", "no")

    assert list_keys(project, "--category", "stock") == [("STOCK", "AAPL"), ("STOCK", "MSFT")]
    assert list_keys(project, "--active", "yes") == [("CURRENCY", "EUR"), ("STOCK", "AAPL")]
    assert list_keys(project, "--active", "no", "--category", "STOCK") == [("STOCK", "MSFT")]
    assert "MSFT name" in project.succeed("assets", "list").out


def test_each_field_can_be_changed(project: Project) -> None:
    create(project, "GLD")

    arguments = ["--active", "no", "--category", "COMMODITY", "--quote-currency", "eur", "--tier", "tier2"]
    project.succeed("assets", "set", "GLD", *arguments, "--name", "Gold")

    [asset] = project.succeed("assets", "list", "--json").document
    del asset["id"]
    assert asset == {
        "ticker": "GLD",
        "name": "Gold",
        "category": "COMMODITY",
        "tier": "TIER2",
        "quote_currency": "EUR",
        "description": "",
        "active": False,
    }


def test_an_ambiguous_ticker_must_be_told_apart(project: Project) -> None:
    create(project, "T")
    create(project, "T", "CRYPTO")

    assert project.run("assets", "set", "T", "--tier", "TIER3").code == 2
    assert "--of" in project.run("assets", "set", "T", "--tier", "TIER3").err
    project.succeed("assets", "set", "T", "--of", "CRYPTO", "--tier", "TIER3")
    tiers = {a["category"]: a["tier"] for a in project.succeed("assets", "list", "--json").document}
    assert tiers == {"STOCK": "TIER4", "CRYPTO": "TIER3"}

    taken = project.run("assets", "set", "T", "--of", "CRYPTO", "--category", "STOCK")
    assert taken.code == 1
    assert "STOCK asset T" in taken.err


def test_wrong_changes(project: Project) -> None:
    create(project, "GLD")

    assert project.run("assets", "set", "GLD").code == 2
    assert project.run("assets", "set", "GLD", "--active", "maybe").code == 2
    assert project.run("assets", "set", "GLD", "--name", "").code == 2
    missing = project.run("assets", "set", "SLV", "--active", "no")
    assert missing.code == 1
    assert "create-asset --ticker SLV" in missing.err


def test_an_import_creates_all(project: Project) -> None:
    file = project.folder / "assets.csv"
    file.write_bytes(
        b"\xef\xbb\xbf" + f'{HEADER}\r\nAAPL,"Apple, Inc.",stock,,phones\r\n\r\nEUR,Euro,CURRENCY,usd,\r\n'.encode()
    )

    outcome = project.succeed("assets", "import", str(file))

    assert "Imported 2 assets" in outcome.out
    assert "Apple, Inc." in outcome.out
    assets = project.succeed("assets", "list", "--json").document
    shown = [(a["ticker"], a["name"], a["category"], a["quote_currency"], a["description"]) for a in assets]
    assert shown == [("EUR", "Euro", "CURRENCY", "USD", ""), ("AAPL", "Apple, Inc.", "STOCK", "USD", "phones")]


def test_the_header_names_the_columns(project: Project) -> None:
    file = project.folder / "assets.csv"
    file.write_text("Category,NAME,ticker\nSTOCK,Apple,AAPL\n")

    project.succeed("assets", "import", str(file))

    [asset] = project.succeed("assets", "list", "--json").document
    assert (asset["ticker"], asset["name"], asset["category"]) == ("AAPL", "Apple", "STOCK")
    assert (asset["quote_currency"], asset["description"]) == ("USD", "")


def test_each_fault_of_each_line_is_listed(project: Project) -> None:
    file = project.folder / "assets.csv"
    file.write_text("ticker,name,category\n" + "A B,,BOND\n" * 60)

    outcome = project.run("assets", "import", str(file))

    assert outcome.code == 1
    places = [line.removeprefix(f"feefifod: {file}:").partition(":")[0] for line in outcome.err.splitlines()[:-1]]
    assert places == [str(line) for line in range(2, 62) for _ in range(3)]


def test_a_ticker_in_another_case_is_proposed(project: Project) -> None:
    create(project, "AAPL")

    for command in (["assets", "set", "aapl", "--active", "no"], ["assets", "set", "AAPLE", "--active", "no"]):
        outcome = project.run(*command)
        assert outcome.code == 1
        assert "Did you mean AAPL?" in outcome.err


def test_an_import_is_all_or_nothing_and_names_every_line(project: Project) -> None:
    create(project, "OLD")
    file = project.folder / "assets.csv"
    lines = [
        HEADER,
        "NEW,New,STOCK,USD,fine",  # 2
        "OLD,Old,STOCK,USD,",  # 3: exists
        "BAD,Bad,BOND,USD,",  # 4: no such category
        "NEW,Again,STOCK,USD,",  # 5: twice
        '"TWO\nLINES",x,STOCK,USD,',  # 6 and 7
        "SHORT,x,STOCK",  # 8
        "A B,x,STOCK,USD,",  # 9
        "C,,STOCK,USD,",  # 10
    ]
    file.write_text("\n".join(lines) + "\n")

    outcome = project.run("assets", "import", str(file))

    assert (outcome.code, outcome.out) == (1, "")
    *errors, last = outcome.err.splitlines()
    places = [line.removeprefix(f"feefifod: {file}:").partition(":")[0] for line in errors]
    assert places == ["3", "4", "5", "6", "8", "9", "10"]
    assert "nothing was imported" in last
    assert list_keys(project) == [("STOCK", "OLD")]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "columns"),
        (b"ticker,name\nA,a\n", "columns"),
        (f"{HEADER},colour\n".encode(), "unknown columns 'colour'"),
        (b"ticker,name,category,Name\nA,a,STOCK,b\n", "twice 'name'"),
        (f"{HEADER}\n".encode(), "no asset"),
        (b"\xff\xfe\x00", "UTF-8"),
        (f'{HEADER}\nA,"a,STOCK,USD,\n'.encode(), ":2: is no CSV"),
    ],
)
def test_what_is_no_list_of_assets_is_refused(project: Project, content: bytes, why: str) -> None:
    file = project.folder / "assets.csv"
    file.write_bytes(content)

    outcome = project.run("assets", "import", str(file))

    assert outcome.code == 1
    assert why in outcome.err


def test_a_missing_file_is_wrong_usage(project: Project) -> None:
    assert project.run("assets", "import", "none.csv").code == 2
