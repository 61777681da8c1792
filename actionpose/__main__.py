"""Entry point of `python -m actionpose`."""

from actionpose.cli.main import main

main()
