"""What a drill found, for people and machines."""

import msgspec
from rich.console import Console
from rich.table import Table

from health_exchange.cli.drill.rates import AIM


class ScenarioReport(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario.

    Attributes:
        skipped: Why it was not run; everything else is empty then.
        story: What was done, with seconds since the network was up.
        bundles: Bundles acknowledged.
        versions: Versions acknowledged.
        at_nation: Resources that the nation keeps.
        log_entries: In all logs together.
        alarms: Alarms raised, and how often.
        live_per_s: Records a second of the origin that caught up slowest; so are the next three.
        piled_up: Records under way when all was well again.
        resumed_after_s: Until the first of them came; -1 where none had piled up.
        catch_up_per_s: Records a second from then on; 0 where too few had piled up to tell.
        findings: What does not hold, in words; empty if all is well.
    """

    name: str
    told: str
    seed: int
    stage: str
    database: str
    skipped: str = ""
    story: list[tuple[float, str]] = []
    bundles: int = 0
    versions: int = 0
    at_nation: int = 0
    log_entries: int = 0
    alarms: dict[str, int] = {}
    live_per_s: float = 0.0
    piled_up: int = 0
    resumed_after_s: float = -1.0
    catch_up_per_s: float = 0.0
    findings: list[str] = []
    elapsed_s: float = 0.0


class DrillReport(msgspec.Struct, frozen=True, kw_only=True):
    """All of them."""

    seed: int
    scenarios: list[ScenarioReport]

    @property
    def holds(self) -> bool:
        """Whether everything that was run kept its promises, and anything was run."""
        run = [each for each in self.scenarios if not each.skipped]
        return bool(run) and not any(each.findings for each in run)


def print_scenario(console: Console, report: ScenarioReport) -> None:
    """What was done, and what does not hold."""
    console.print(f"\n[bold]{report.name}[/bold]: {report.told} ({report.stage}, {report.database}, seed {report.seed})")
    if report.skipped:
        console.print(f"  [yellow]not run: {report.skipped}[/yellow]")
        return
    for at_s, what in report.story:
        console.print(f"  {at_s:6.1f} s  {what}", markup=False, highlight=False)
    for alarm, times in report.alarms.items():
        console.print(f"  alarm raised, {times} times: {alarm}", markup=False, highlight=False)
    for finding in report.findings:
        console.print(f"  [red]DOES NOT HOLD: {finding}[/red]")
    if not report.findings:
        console.print("  nothing acknowledged is lost, nothing is there twice, all logs verify")


def print_summary(console: Console, report: DrillReport) -> None:
    """One line a scenario."""
    table = Table(title=f"Drill, seed {report.seed}")
    table.add_column("scenario")
    for heading in ("acknowledged", "at the nation", "live/s", "piled up", "catch-up/s", "ratio", "held"):
        table.add_column(heading, justify="right")
    for each in report.scenarios:
        if each.skipped:
            table.add_row(each.name, "", "", "", "", "", "", "not run")
            continue
        has_rate = each.catch_up_per_s > 0
        table.add_row(
            each.name,
            str(each.versions),
            str(each.at_nation),
            f"{each.live_per_s:.0f}",
            str(each.piled_up),
            f"{each.catch_up_per_s:.0f}" if has_rate else "",
            f"{each.catch_up_per_s / each.live_per_s:.1f}" if has_rate else "",
            "NO" if each.findings else "yes",
        )
    console.print(table)
    console.print(f"Catching up must be at least {AIM:g} times as fast as the live rate, where enough had piled up.")
