"""The ``health-exchange`` command."""

import argparse


def main() -> None:
    """Run the command named on the command line."""
    parser = argparse.ArgumentParser(prog="health-exchange")
    parser.parse_args()
