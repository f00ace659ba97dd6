"""The report for people: tables and a few sentences."""

from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from health_exchange.cli.demo.report import Report


def publish(console: Console, report: Report, file: Path | None) -> None:
    """Print the report, and write it for machines where ``file`` names a place."""
    print_report(console, report)
    if file is not None:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(report)))


def print_report(console: Console, report: Report) -> None:
    """Print everything."""
    _print_nodes(console, report)
    console.print(
        f"\n{report.records_in} records came in. The nation keeps {report.records_at_nation}; policy grants it "
        f"{report.records_granted}. {report.persons} persons, {report.persons_across_provinces} with records from more "
        "than one province."
    )
    _print_person(console, report)
    console.print("\n[bold]What a relay sees of what it carries[/bold]")
    for relay in report.relays:
        console.print(
            f"  {relay.address} carried {relay.envelopes_carried} envelopes ({relay.envelope_bytes} bytes). Of the "
            f"sections in them its keys open {relay.could_open} and cannot open {relay.could_not_open}."
        )
    console.print("\n[bold]Three accesses that were refused[/bold]")
    for refused in report.refused:
        console.print(f"  {refused.who}: {refused.what}: {refused.status}, {refused.reason}")
    _print_way_back(console, report)
    audit = report.audit
    console.print(
        f"\n[bold]All logs, verified offline[/bold]: {audit.entries} entries, {audit.checkpoints} checkpoints, "
        f"{audit.proofs} proofs, {audit.cosignatures} cosignatures, {audit.failures} failures"
    )
    for what in report.left_out:
        console.print(f"[bold]left out[/bold]: {what}")
    for disagreement in report.disagreements:
        console.print(f"[red]disagreement: {disagreement}[/red]")
    console.print(f"{report.elapsed_s} s in all")


def _print_nodes(console: Console, report: Report) -> None:
    """Every node's line."""
    table = Table(title="What became of it, node by node")
    for heading, justify in (("node", "left"), ("received", "right"), ("sent on", "right"), ("opened", "right")):
        table.add_column(heading, justify="left" if justify == "left" else "right")
    table.add_column("keeps", justify="right")
    table.add_column("lag", justify="right")
    table.add_column("held back, and why")
    for node in report.nodes:
        held = ", ".join(f"{count} {reason}" for reason, count in sorted(node.held.items()))
        name = "  " * node.address.count("/") + f"{node.name} {node.address}"
        lag = f"{node.lag_s:.2f} s" if node.opened else ""
        table.add_row(name, str(node.received), str(node.forwarded), str(node.opened), str(node.resources), lag, held)
    console.print(table)


def _print_person(console: Console, report: Report) -> None:
    """One person's unified view."""
    person = report.person
    counts = ", ".join(f"{count} {name}" for name, count in person.types.items())
    console.print(f"\n[bold]One person's unified view[/bold], from {', '.join(person.sources)}: {counts}")
    for line in person.lines:
        console.print(f"  {line}", markup=False, highlight=False)
    console.print(f"  {person.masked} of these resources say where something was masked; no name, no ID, no free text")


def _print_way_back(console: Console, report: Report) -> None:
    """Look-ups, an objection, broken glass, an edited log."""
    found, consent, glass = report.lookup, report.consent, report.break_glass
    console.print(
        f"\n[bold]A physician at {found.asked_at} looks up somebody who has not been there[/bold]: {found.resources} "
        f"records from {', '.join(found.sources)} in {found.elapsed_s * 1000:.0f} ms, signed for by key holders "
        f"{', '.join(found.ticket_holders)}. What the logs say of it:"
    )
    for line in found.log_lines:
        console.print(f"  {line}", markup=False, highlight=False)
    if (away := report.lookup_with_one_away) is not None:
        console.print(
            f"  With one holder down: {away.resources} records from {', '.join(away.sources)} in "
            f"{away.elapsed_s * 1000:.0f} ms; not reached: {'; '.join(away.unreachable)}"
        )
    console.print(
        f"[bold]The person objects to sharing[/bold]: the look-up gives {consent.looked_up_before}, then "
        f"{consent.looked_up_meanwhile} records, the nation keeps {consent.nation_before}, then "
        f"{consent.nation_meanwhile}; the objection withdrawn: {consent.looked_up_after} and {consent.nation_after}"
    )
    if glass is not None:
        console.print(
            f"[bold]Broken glass[/bold]: for care {glass.for_care} records, with a reason {glass.broken}. Its trace:"
        )
        for line in glass.trace:
            console.print(f"  {line}", markup=False, highlight=False)
    seen = report.seen
    console.print(
        f"[bold]Who has seen this person[/bold], asked of {seen.nodes} nodes by an auditor: {seen.entries} entries, "
        f"each proven; not answered: {', '.join(seen.not_answered) or 'none'}. Those who saw something:"
    )
    for told in seen.lines:
        console.print(f"  {told}", markup=False, highlight=False)
    edited = report.edited_log
    console.print(f"[bold]One byte of an exported log changed[/bold] ({edited.file}): {edited.finding}")


def print_invitation(  # what two command lines need
    console: Console, *, url: str, authority: Path, allowed_token: str, refused_token: str, patient_id: str
) -> None:
    """The status page, and two command lines that work as printed while the tokens last."""
    console.print(f"\nStatus page: {url}/status (certificate authority: {authority})")
    console.print("Two requests to try within five minutes; the first is allowed, the second refused:")
    for token in (allowed_token, refused_token):
        target = f"{url}/fhir/Patient/{patient_id}/$everything"
        line = f"curl --cacert '{authority}' -H 'Authorization: Bearer {token}' '{target}'"
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    console.print("Ctrl-C ends the network.")
