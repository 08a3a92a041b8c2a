"""`python -m qhronos` is the `qhronos` command."""

from qhronos.cli import main

main()
