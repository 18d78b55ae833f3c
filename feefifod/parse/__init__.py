"""Names and rows of Kraken's archive, judged without touching anything: bytes and strings in, values out.

`pair`, `tiers` and `names` read names; `head`, `line`, `columns` and `rows` read what is inside a file. Import the
module that you need: only `columns` and `rows` load pyarrow.
"""
