"""`python -m actionpose` is the command line."""

from actionpose.cli.main import main

main()
