"""Runs the command line as ``python -m ftcore``."""

from ftcore.cli.main import main

if __name__ == "__main__":
    main()
