"""``health-exchange samples generate``: write the sample records into a folder."""

import argparse
import shutil
from pathlib import Path

SEED = 20260630
PEOPLE = 64
"""What the committed folder was made with."""

_OWN = ("cn-*", "rejected", "facilities.json", "manifest.json")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``samples`` to the command line; the parsed arguments carry ``run``."""
    samples = subparsers.add_parser("samples", help="invented people and their records")
    actions = samples.add_subparsers(dest="action", required=True)
    generate = actions.add_parser("generate", help="write facilities, Bundles, manifest and rejected inputs")
    generate.add_argument("--seed", type=int, default=SEED, help="same seed, same bytes")
    generate.add_argument("--people", type=int, default=PEOPLE, help="how many people")
    generate.add_argument("--dir", type=Path, default=Path("sample_records"), help="where to write")
    generate.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the files, and remove those of an earlier run. Gives the exit code."""
    from health_exchange.cli.samples.writer import make_files

    files = make_files(seed=args.seed, people=args.people)
    for pattern in _OWN:
        for old in args.dir.glob(pattern):
            if old.is_dir():
                shutil.rmtree(old)
            else:
                old.unlink()
    for path, raw in files.items():
        target = args.dir / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(raw)
    print(f"{len(files)} files, {sum(map(len, files.values())) / 1e6:.1f} MB in {args.dir}")
    return 0
