"""Run feefifod as a module: `python -m feefifod`."""

from feefifod.cli.main import main

main()
