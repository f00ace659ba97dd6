"""What a drill found, for people and machines."""

import msgspec
from rich.console import Console
from rich.table import Table


class CatchUpReport(msgspec.Struct, frozen=True, kw_only=True):
    """How one origin's records came to the nation that were under way when all was well again; see ``rates``."""

    origin: str
    live_per_s: float
    piled_up: int
    level_after_s: float
    allowed_s: float
    per_s: float


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
        is_busy: Whether the machine had so much else to do that catching up was not judged.
        catch_ups: Of each origin.
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
    is_busy: bool = False
    catch_ups: list[CatchUpReport] = []
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
    console.print(
        f"\n[bold]{report.name}[/bold]: {report.told} ({report.stage}, {report.database}, seed {report.seed})"
    )
    if report.skipped:
        console.print(f"  [yellow]not run: {report.skipped}[/yellow]")
        return
    for at_s, what in report.story:
        console.print(f"  {at_s:6.1f} s  {what}", markup=False, highlight=False)
    for alarm, times in report.alarms.items():
        console.print(f"  alarm raised, {times} times: {alarm}", markup=False, highlight=False)
    for each in report.catch_ups:
        console.print(
            f"  {each.origin}: {each.piled_up} records under way, all there after {each.level_after_s:.1f} s (at most "
            f"{each.allowed_s:.1f}), {each.per_s:.0f}/s; live {each.live_per_s:.0f}/s",
            markup=False,
            highlight=False,
        )
    if report.is_busy:
        console.print("  [yellow]catching up is not judged: this machine is busy with other things[/yellow]")
    for finding in report.findings:
        console.print(f"  [red]DOES NOT HOLD: {finding}[/red]")
    if not report.findings:
        console.print("  nothing acknowledged is lost, nothing is there twice, all logs verify")


def print_summary(console: Console, report: DrillReport) -> None:
    """One line a scenario."""
    table = Table(title=f"Drill, seed {report.seed}")
    table.add_column("scenario", no_wrap=True)
    for heading in ("acknowledged", "at nation", "log entries", "took", "promises"):
        table.add_column(heading, justify="right")
    for each in report.scenarios:
        kept = "not run" if each.skipped else "NOT KEPT" if each.findings else "kept"
        took = f"{each.elapsed_s:.0f} s"
        table.add_row(each.name, str(each.versions), str(each.at_nation), str(each.log_entries), took, kept)
    console.print(table)
