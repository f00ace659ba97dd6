"""``health-exchange audit``: export a node's log, and verify exported logs offline with public keys only."""

import argparse
from pathlib import Path

from health_exchange.audit.verification import render_report, verify_folder
from health_exchange.wiring.inspection import export_log, write_files
from health_exchange.wiring.settings import read_settings


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's words."""
    parser = subparsers.add_parser("audit", help="export and verify tamper-evident logs")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    export = commands.add_parser("export", help="write a node's log as a folder that verifies offline")
    export.add_argument("--settings", type=Path, required=True, help="the node's TOML file")
    export.add_argument("folder", type=Path, help="a folder that does not exist yet")
    export.set_defaults(run=run_export)
    verify = commands.add_parser("verify", help="verify an exported log; needs nothing but the folder")
    verify.add_argument("folder", type=Path)
    verify.set_defaults(run=run_verify)


def run_export(arguments: argparse.Namespace) -> int:
    """Write the folder; the export itself is an entry of the log."""
    files = export_log(read_settings(arguments.settings))
    write_files(arguments.folder, files)
    print(f"{len(files)} files in {arguments.folder}")
    return 0


def run_verify(arguments: argparse.Namespace) -> int:
    """Say what was verified and what is wrong; 1 if anything is."""
    files = {
        path.relative_to(arguments.folder).as_posix(): path.read_bytes()
        for path in sorted(arguments.folder.rglob("*"))
        if path.is_file()
    }
    if not files:
        print(f"{arguments.folder} holds no exported log")
        return 2
    report = verify_folder(files)
    print(render_report(report))
    return 1 if report.failures else 0
