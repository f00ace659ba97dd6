"""``health-exchange policy``: what the policies say to a question, and to every question. Needs no node."""

import argparse
import json
from pathlib import Path

import msgspec

from health_exchange.policy.explanation import Explanation, explain
from health_exchange.policy.table import DecisionTable, moved
from health_exchange.policy.wording import read_words
from health_exchange.wiring.locations import shipped
from health_exchange.wiring.policy_folder import read_policies

_EXAMPLE = """\
A question is a line of words in any order: who (kind, 'at' the node that registered it), what (action, type, 'level'
and category, 'from' the node it comes from), why (purpose, 'with reason'), and what the person's consents say:

    health-exchange policy explain clinician look-up Observation level 5 HIV for BTG
    health-exchange policy explain viewer read level 3 PSY TREAT consent deny:PSY
    health-exchange policy explain node province at cn/33 open level 2 from cn/51/5101/510121 TREAT
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's words."""
    parser = subparsers.add_parser("policy", help="say who may do what, and why")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    explain_parser = commands.add_parser(
        "explain",
        help="decide a question and say why, and what would turn a refusal",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    explain_parser.add_argument("words", nargs="+", help="who, what and why, see below")
    explain_parser.add_argument("--json", action="store_true", help="for machines")
    explain_parser.set_defaults(run=run_explain)
    table_parser = commands.add_parser("table", help="print everything that is allowed; what has no line is refused")
    table_parser.add_argument("--against", type=Path, help="a table kept before: print what moved; 1 if anything did")
    table_parser.set_defaults(run=run_table)
    for command in (explain_parser, table_parser):
        command.add_argument("--policies", type=Path, help="a folder of Cedar policies; those that ship unless given")


def run_explain(arguments: argparse.Namespace) -> int:
    """Print the explanation; 0 where it is allowed, 1 where it is refused."""
    policies = read_policies(arguments.policies or shipped("policies"))
    explanation = explain(policies, read_words(" ".join(arguments.words)))
    if arguments.json:
        print(json.dumps(msgspec.to_builtins(explanation), ensure_ascii=False, indent=2))
    else:
        print("\n".join(_lines(explanation)))
    return 0 if explanation.allowed else 1


def run_table(arguments: argparse.Namespace) -> int:
    """Print the decision table, or what differs from another."""
    lines = DecisionTable.of(read_policies(arguments.policies or shipped("policies"))).lines()
    if arguments.against is None:
        print("\n".join(lines))
        return 0
    changes = moved(arguments.against.read_text("utf-8").splitlines(), lines)
    print("\n".join(changes or ["no decision moved"]))
    return 1 if changes else 0


def _lines(explanation: Explanation) -> list[str]:
    """The explanation as an operator reads it."""
    lines = [f"{explanation.question}.", "", "allowed" if explanation.allowed else "refused"]
    if explanation.policies:
        lines += [f"  {policy.effect} {policy.id}: {policy.reason}" for policy in explanation.policies]
    else:
        lines += [f"  {reason}" for reason in explanation.reasons]
    lines += ["", "facts looked at", *(f"  {used.fact}: {used.value}" for used in explanation.facts)]
    if not explanation.allowed:
        lines += ["", "smallest change", f"  {explanation.advice}"]
    return lines
