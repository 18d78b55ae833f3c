"""Pairs are split as Kraken means them, or refused with the reason."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feefifod.errors import BadInput
from feefifod.model import Category, Pair
from feefifod.parse.pair import split_pair

PAIRS = Path(__file__).resolve().parents[4] / "shared" / "kraken" / "pairs.csv"
TICKERS = {"XBT": "BTC", "XDG": "DOGE"}
FIAT = {"AED", "AUD", "CAD", "CHF", "EUR", "GBP", "JPY", "USD"}

# Each pair of Kraken's whose API key differs from its name: key, base, quote.
API_KEYS = """
USDTZUSD USDT USD|XETCXETH ETC ETH|XETCXXBT ETC XBT|XETCZEUR ETC EUR|XETCZUSD ETC USD|XETHXXBT ETH XBT|XETHZCAD ETH CAD
XETHZEUR ETH EUR|XETHZGBP ETH GBP|XETHZJPY ETH JPY|XETHZUSD ETH USD|XLTCXXBT LTC XBT|XLTCZEUR LTC EUR|XLTCZJPY LTC JPY
XLTCZUSD LTC USD|XMLNXXBT MLN XBT|XMLNZEUR MLN EUR|XMLNZUSD MLN USD|XREPZEUR REP EUR|XREPZUSD REP USD
XXBTEUROP XBT EUROP|XXBTUSDQ XBT USDQ|XXBTUSDR XBT USDR|XXBTZCAD XBT CAD|XXBTZEUR XBT EUR|XXBTZGBP XBT GBP
XXBTZJPY XBT JPY|XXBTZUSD XBT USD|XXDGXXBT XDG XBT|XXLMXXBT XLM XBT|XXLMZEUR XLM EUR|XXLMZGBP XLM GBP|XXLMZUSD XLM USD
XXMRXXBT XMR XBT|XXMRZEUR XMR EUR|XXMRZUSD XMR USD|XXRPXXBT XRP XBT|XXRPZCAD XRP CAD|XXRPZEUR XRP EUR|XXRPZUSD XRP USD
XZECZEUR ZEC EUR|XZECZUSD ZEC USD|ZEURZUSD EUR USD|ZGBPZUSD GBP USD|ZUSDZCAD USD CAD|ZUSDZJPY USD JPY
"""

# Names that simple rules split wrongly.
TRAPS = """
2ZEUR 2Z EUR|2ZUSD 2Z USD|AI16ZUSD AI16Z USD|AIOZEUR AIOZ EUR|BLZUSD BLZ USD|CHZUSD CHZ USD|REZEUR REZ EUR
XTZAUD XTZ AUD|XTZCAD XTZ CAD|XTZEUR XTZ EUR|XTZGBP XTZ GBP|XTZUSD XTZ USD
SNXXBT SNX XBT|SNXETH SNX ETH|TRXXBT TRX XBT|TRXETH TRX ETH|ZRXXBT ZRX XBT|ICXXBT ICX XBT|ICXETH ICX ETH
ADAUSD ADA USD|GALAUSD GALA USD|UMAUSD UMA USD|LUNAUSD LUNA USD|MANAUSD MANA USD|TIAUSD TIA USD|KAVAUSD KAVA USD
ENAUSD ENA USD|MINAUSD MINA USD|MERLUSD MERL USD|BOBAUSD BOBA USD|MIRAUSD MIRA USD|SCAUSD SCA USD
XBTAUSD XBT AUSD|MONAUSD MON AUSD|XRPRLUSD XRP RLUSD|XBTPYUSD XBT PYUSD|ETHPYUSD ETH PYUSD
AUSD A USD|TUSD T USD|SUSDC S USDC|SUSDT S USDT|USUSD US USD|UUSD U USD|GUSD G USD|HUSD H USD|KUSD K USD|MUSD M USD
QUSD Q USD|WUSD W USD|AEUR A EUR|TEUR T EUR|AUSDUSD AUSD USD|TUSDUSD TUSD USD|TUSDEUR TUSD EUR
0GEUR 0G EUR|0GUSD 0G USD|1INCHEUR 1INCH EUR|1INCHUSD 1INCH USD|API3USD API3 USD|B2USD B2 USD|C98USD C98 USD
KP3RUSD KP3R USD|L3USD L3 USD|LUNA2USD LUNA2 USD|REPV2USD REPV2 USD|U2UUSD U2U USD|USD1USD USD1 USD|XL1USD XL1 USD
HPOS10IUSD HPOS10I USD|BANANAS31USD BANANAS31 USD|BRL1USD BRL1 USD
USDTUSD USDT USD|USDTEUR USDT EUR|USDTAUD USDT AUD|USDTCHF USDT CHF|USDCUSDT USDC USDT|USDCUSD USDC USD
USDCCHF USDC CHF|DAIUSD DAI USD|DAIUSDT DAI USDT|EURTUSD EURT USD|PYUSDUSD PYUSD USD|PYUSDEUR PYUSD EUR
USD1USDC USD1 USDC|EURCUSDC EURC USDC|EUROPUSD EUROP USD|RLUSDUSDT RLUSD USDT|RLUSDUSD RLUSD USD|TGBPGBP TGBP GBP
METHUSD METH USD|CMETHUSD CMETH USD|LSETHUSD LSETH USD|MSOLUSD MSOL USD|JITOSOLUSD JITOSOL USD|AIXBTUSD AIXBT USD
ETHAED ETH AED|XBTAED XBT AED|USDAED USD AED|ETHDAI ETH DAI|XBTDAI XBT DAI|KSMDOT KSM DOT|MATICPOL MATIC POL
JITOSOLSOL JITOSOL SOL|LSSOLSOL LSSOL SOL|PUMPSOL PUMP SOL|SOLEURC SOL EURC|ETHEUROP ETH EUROP|ETHUSD1 ETH USD1
TRXUSDD TRX USDD|XBTUSDQ XBT USDQ|XBTUSDR XBT USDR|USDCHF USD CHF|ETH2.SETH ETH2.S ETH
XCNUSD XCN USD|XRTUSD XRT USD|XDCUSD XDC USD|XAUTUSD XAUT USD|XPLUSD XPL USD|ZECUSD ZEC USD
ZETAUSD ZETA USD|ZKUSD ZK USD
"""


def read_triples(text: str) -> list[tuple[str, str, str]]:
    triples = [tuple(entry.split()) for entry in text.replace("\n", "|").split("|") if entry]
    return [(name, base, quote) for name, base, quote in triples]


@pytest.mark.skipif(not PAIRS.exists(), reason="Kraken's list of pairs is not on this machine")
def test_every_pair_of_krakens_list_is_split_right() -> None:
    with PAIRS.open(encoding="ascii", newline="") as file:
        rows = list(csv.DictReader(file))

    assert len(rows) == 1252
    for row in rows:
        base, quote = row["base"], row["quote"]
        assert split_pair(row["altname"]) == Pair(
            altname=row["altname"],
            base=base,
            ticker=TICKERS.get(base, base),
            quote=TICKERS.get(quote, quote),
            category=Category.CURRENCY if base in FIAT else Category.CRYPTO,
        )


@pytest.mark.parametrize(("name", "base", "quote"), read_triples(TRAPS))
def test_traps_are_split_right(name: str, base: str, quote: str) -> None:
    pair = split_pair(name)

    assert (pair.altname, pair.base, pair.quote) == (name, base, TICKERS.get(quote, quote))


@pytest.mark.parametrize(("key", "base", "quote"), read_triples(API_KEYS))
def test_api_keys_mean_the_same_pair_as_the_name(key: str, base: str, quote: str) -> None:
    pair, same = split_pair(key), split_pair(base + quote)

    assert pair.altname == key
    assert (pair.base, pair.ticker, pair.quote, pair.category) == (same.base, same.ticker, same.quote, same.category)
    assert (pair.base, pair.quote) == (base, TICKERS.get(quote, quote))


def test_there_are_46_api_keys_of_today() -> None:
    assert len(read_triples(API_KEYS)) == 46


@pytest.mark.parametrize(
    ("key", "ticker", "quote"),
    [
        ("XXBTXLTC", "BTC", "LTC"),
        ("XXBTXNMC", "BTC", "NMC"),
        ("XXBTXXVN", "BTC", "XVN"),
        ("XXBTXXDG", "BTC", "DOGE"),
        ("ZEURXXVN", "EUR", "XVN"),
        ("XZECXXBT", "ZEC", "BTC"),
        ("XICNXETH", "ICN", "ETH"),
    ],
)
def test_api_keys_of_former_pairs(key: str, ticker: str, quote: str) -> None:
    pair = split_pair(key)

    assert (pair.ticker, pair.quote) == (ticker, quote)


@pytest.mark.parametrize(
    ("name", "base", "ticker", "quote"),
    [
        ("XBTUSD", "XBT", "BTC", "USD"),
        ("BTCUSD", "XBT", "BTC", "USD"),
        ("XDGUSD", "XDG", "DOGE", "USD"),
        ("DOGEUSD", "XDG", "DOGE", "USD"),
        ("ETHXBT", "ETH", "ETH", "BTC"),
        ("ETHBTC", "ETH", "ETH", "BTC"),
        ("DOGUSD", "DOG", "DOG", "USD"),
        ("TBTCUSD", "TBTC", "TBTC", "USD"),
    ],
)
def test_codes_become_common_tickers_on_both_legs(name: str, base: str, ticker: str, quote: str) -> None:
    assert split_pair(name) == Pair(name, base, ticker, quote, Category.CRYPTO)


@pytest.mark.parametrize("name", ["AUDJPY", "EURAUD", "EURCHF", "GBPUSD", "USDAED", "USDCHF", "USDJPY", "ZEURZUSD"])
def test_money_of_states_is_a_currency(name: str) -> None:
    assert split_pair(name).category is Category.CURRENCY


@pytest.mark.parametrize("name", ["USDTUSD", "EURTEUR", "AUSD", "EURCUSD", "TGBPGBP", "PYUSDUSD", "XBTEUR"])
def test_coins_that_look_like_money_are_crypto(name: str) -> None:
    assert split_pair(name).category is Category.CRYPTO


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("USD", "nothing stands before the quote currency USD"),
        ("USDC", "nothing stands before the quote currency USDC"),
        ("XBTHUF", "XBTHUF ends in no known quote currency"),
        ("XBTUSD.D", "XBTUSD.D ends in no known quote currency"),
        ("xbtusd", "did you mean XBTUSD?"),
        ("XbtUsd", "pair names are upper case"),
        ("", "consists of"),
        ("XBT/USD", "consists of"),
        (".XBTUSD", "consists of"),
        ("XBTUSD\n", "consists of"),
        ("\uff38\uff22\uff34\uff35\uff33\uff24", "consists of"),
        ("X" * 22 + "USD", "more than 24"),
    ],
)
def test_what_cannot_be_split_is_refused_with_the_reason(name: str, why: str) -> None:
    with pytest.raises(BadInput) as caught:
        split_pair(name)

    assert why in caught.value.why


@given(
    st.one_of(
        st.text(),
        st.text("ABCDEHRSTUXZ12.", max_size=12),
        st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    )
)
def test_any_text_is_split_into_two_legs_or_refused(name: str) -> None:
    try:
        pair = split_pair(name)
    except BadInput:
        return

    assert "" not in (pair.base, pair.ticker, pair.quote)


@pytest.mark.parametrize("name", ["\udcff", "\x1b[2J", "XBT\nUSD", "XBTHUF", "xbtusd"])
def test_refusals_are_safe_to_show(name: str) -> None:
    with pytest.raises(BadInput) as caught:
        split_pair(name)

    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()
