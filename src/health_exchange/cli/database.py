"""``health-exchange database``: a node's schema, its backups, and what is done when a database was lost."""

import argparse
import asyncio
from pathlib import Path

import msgspec

from health_exchange.node.making_good import RejoinReport
from health_exchange.wiring import backups, schemas
from health_exchange.wiring.schemas import Owner
from health_exchange.wiring.settings import read_settings


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's words."""
    parser = subparsers.add_parser("database", help="a node's schema, backups, restore")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, run, about in (
        ("current", _current, "print the schema's revision, the one this release works with, and what lies between"),
        ("check", _check, "exit 0 if this release works with the database as it is, 1 and what to do otherwise"),
        ("upgrade", _upgrade, "bring the schema to this release"),
    ):
        parser = commands.add_parser(name, help=about, description=about)
        _add_settings(parser)
        if run is _upgrade:
            _add_owner(parser)
            parser.add_argument("--auditor", default="", metavar="ROLE", help="role that may read the log, sealed")
        parser.set_defaults(run=run)
    _add_backup(commands)
    _add_restore(commands)
    _add_recovered(commands)


def _add_backup(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("recovery-key", help="make a key pair for backups, away from every node")
    parser.add_argument("file", type=Path, help="where the private half goes; the public half goes to FILE.pub")
    parser.set_defaults(run=_recovery_key)
    parser = commands.add_parser("backup", help="write an encrypted backup of one snapshot; the node may run")
    _add_settings(parser)
    parser.add_argument("--recovery-key", type=Path, required=True, help="file of the recovery key's public half")
    parser.add_argument("--folder", type=Path, required=True, help="where the files go")
    parser.add_argument("--keys-only", action="store_true", help="write the small file alone")
    parser.set_defaults(run=_backup)


def _add_restore(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("restore", help="fill an empty database from a backup; begins a new incarnation")
    _add_settings(parser)
    parser.add_argument("--recovery-key", type=Path, required=True, help="file of the recovery key's private half")
    parser.add_argument("--bulk", type=Path, required=True, help="the backup's .bulk")
    parser.add_argument("--keys", type=Path, required=True, help="the latest .keys of the same incarnation")
    _add_owner(parser)
    parser.set_defaults(run=_restore)
    parser = commands.add_parser("rejoin", help="after a restore: ask others what was lost, and make good what can be")
    _add_settings(parser)
    parser.add_argument("--without-missing", action="store_true", help="go on although somebody does not answer")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the report as JSON")
    parser.set_defaults(run=_rejoin)


def _add_recovered(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = "of a database put back by other means: ask others whether it is all there; exit 0 if so, 1 if not"
    parser = commands.add_parser("compare", help=about, description=about)
    _add_settings(parser)
    parser.set_defaults(run=_compare)
    about = "begin a new incarnation of a database that is not all there; then rejoin"
    parser = commands.add_parser("renew", help=about, description=about)
    _add_settings(parser)
    parser.set_defaults(run=_renew)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=Path, required=True, help="the node's TOML file")


def _add_owner(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--owner", default="", metavar="ROLE", help="role that owns the tables, on PostgreSQL")
    parser.add_argument("--owner-password", type=Path, metavar="FILE", help="file that holds its password")


def _current(arguments: argparse.Namespace) -> int:
    """Print where the schema stands."""
    standing = schemas.standing(read_settings(arguments.settings))
    print(f"database {standing.revision or 'none'}, this release ({schemas.RELEASE}) {standing.wanted}")
    if standing.pending:
        print(f"pending: {' '.join(standing.pending)}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    """Say whether the node would start."""
    standing = schemas.standing(read_settings(arguments.settings))
    standing.check()
    print(f"schema {standing.revision}: this release works with it")
    return 0


def _upgrade(arguments: argparse.Namespace) -> int:
    """Bring the schema to this release."""
    owner = Owner(role=arguments.owner, password=arguments.owner_password, auditor=arguments.auditor)
    done = schemas.upgrade(read_settings(arguments.settings), owner)
    print(f"upgraded: {' '.join(done)}" if done else "nothing to do")
    return 0


def _recovery_key(arguments: argparse.Namespace) -> int:
    """Make a recovery key."""
    public = backups.make_recovery_key(arguments.file)
    print(f"private half: {arguments.file} (keep it away from every node)\npublic half:  {public}")
    return 0


def _backup(arguments: argparse.Namespace) -> int:
    """Back up."""
    settings = read_settings(arguments.settings)
    for each in backups.back_up(settings, arguments.folder, arguments.recovery_key, keys_only=arguments.keys_only):
        print(f"{each.path}  {each.file_bytes:,} bytes, as of {each.header.taken_at}")
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    """Restore."""
    settings = read_settings(arguments.settings)
    owner = Owner(role=arguments.owner, password=arguments.owner_password)
    done = backups.restore(settings, arguments.recovery_key, bulk=arguments.bulk, keys=arguments.keys, owner=owner)
    print(f"{done.rows:,} rows as of {done.rejoining.taken_at}: {done.rejoining.entries:,} entries of the log")
    print(f"next: health-exchange database rejoin --settings {arguments.settings}")
    return 0


def _rejoin(arguments: argparse.Namespace) -> int:
    """Rejoin."""
    from health_exchange.wiring.rejoining import rejoin_network

    settings = read_settings(arguments.settings)
    report = asyncio.run(rejoin_network(settings, without_missing=arguments.without_missing))
    print("\n".join(_told(report)))
    if arguments.json is not None:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    """Compare."""
    from health_exchange.wiring.rejoining import compare_with_network

    found = asyncio.run(compare_with_network(read_settings(arguments.settings)))
    print(f"log: {found.entries:,} entries here, {found.entries_seen:,} seen by witnesses")
    print(f"own envelopes: {found.envelopes:,} here, {found.envelopes_seen:,} seen above")
    for name in found.missing:
        print(f"no answer: {name}")
    if found.is_behind:
        print(f"it lacks its end: health-exchange database renew --settings {arguments.settings}, then rejoin")
    elif not found.missing:
        print("nobody has seen more than is here: the node may start")
    return 1 if found.is_behind else 3 if found.missing else 0


def _renew(arguments: argparse.Namespace) -> int:
    """Renew."""
    from health_exchange.wiring.rejoining import renew_database

    before = asyncio.run(renew_database(read_settings(arguments.settings)))
    print(f"a new incarnation goes on after {before.entries:,} entries, the last one of {before.taken_at}")
    print(f"next: health-exchange database rejoin --settings {arguments.settings}")
    return 0


def _told(report: RejoinReport) -> list[str]:
    """The report for people."""
    lines = [
        f"{report.node} goes on with the database of {report.taken_at}, its log as {report.log}",
        f"  log: {report.entries_restored:,} entries restored, {report.entries_lost:,} that witnesses saw are lost",
    ]
    if report.stream:
        lines.append(
            f"  own envelopes: {report.envelopes_restored:,} restored, {report.envelopes_lost:,} more are known above"
        )
    lines += [f"  {count:,} envelopes of {origin} are sent again" for origin, count in report.sending_again.items()]
    lines.append(f"  forgotten again: {report.forgotten:,} persons; wishes taken over from above: {report.consents:,}")
    if report.lost:
        kinds = ", ".join(f"{count:,} {name}" for name, count in report.lost.items())
        lines.append(f"  LOST HERE, AND KNOWN ABOVE: {kinds}, of {report.persons:,} persons, up to {report.lost_until}")
    if report.facilities:
        lines.append(f"  TO SEND AGAIN what was acknowledged to them after {report.taken_at}:")
        lines += [f"    {name}" for name in report.facilities]
    lines += [f"  not asked: {name}" for name in report.missing]
    return lines
