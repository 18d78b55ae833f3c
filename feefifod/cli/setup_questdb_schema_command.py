"""`feefifod setup-questdb-schema`: the table, made, checked, or made again."""

from __future__ import annotations

import click

from feefifod.cli.options import yes_option


@click.command()
@click.option("--database", default="questdb", show_default=True, help="Which [databases.NAME] of the configuration.")
@click.option(
    "--partition-by",
    type=click.Choice(["DAY", "WEEK", "MONTH", "YEAR"], case_sensitive=False),
    help="How the table is to be partitioned; one that is there is copied into a new one.",
)
@click.option("--drop", is_flag=True, help="Drop the table with all its rows first, and make it again.")
@yes_option
@click.pass_context
def setup_questdb_schema(ctx: click.Context, database: str, partition_by: str | None, *, drop: bool, yes: bool) -> None:
    """Create the table when it is missing, and verify it when it is there.

    A table without DEDUP gets it; one with other columns is refused, with the difference shown. --drop asks first;
    afterwards the ledger of files counts for nothing, and files that are dropped again are loaded again.

    --partition-by copies a table that is partitioned otherwise, month by month, proves that the copy is equal, and puts
    it into the table's place; the ledger goes on with it. It asks first. A daemon may run beside it: it waits. What was
    killed is gone on with by the same command.

    \b
    Example:
      feefifod setup-questdb-schema
      feefifod setup-questdb-schema --partition-by MONTH
      feefifod setup-questdb-schema --drop --yes
    """
    import anyio  # noqa: PLC0415 - help must not wait for it

    from feefifod.cli.reach import read_settings  # noqa: PLC0415 - the same
    from feefifod.cli.schema_setup import set_up  # noqa: PLC0415 - the same

    anyio.run(set_up, read_settings(ctx), database, partition_by and partition_by.upper(), drop, yes)
