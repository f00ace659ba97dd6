"""What the demo shows of the way back, for people and machines, and what it should have shown."""

import msgspec


class LookupReport(msgspec.Struct, frozen=True, kw_only=True):
    """One look-up: why, how long, what came from where, what did not, who signed, and what the logs say of it."""

    purpose: str
    elapsed_s: float
    resources: int
    sources: list[str]
    refused: list[str]
    unreachable: list[str]
    ticket_holders: list[str]
    log_lines: list[str]


class ConsentReport(msgspec.Struct, frozen=True, kw_only=True):
    """An objection and its withdrawal: what the look-up gives and what the nation keeps, before, meanwhile, after."""

    looked_up_before: int
    looked_up_meanwhile: int
    looked_up_after: int
    nation_before: int
    nation_meanwhile: int
    nation_after: int


class BreakGlassReport(msgspec.Struct, frozen=True, kw_only=True):
    """Broken glass: what care alone gives, what is given beyond, the reason, and its trace."""

    for_care: int
    broken: int
    reason: str
    trace: list[str]


class SeenReport(msgspec.Struct, frozen=True, kw_only=True):
    """Who has seen one person, anywhere: entries of all nodes that answered, each proven; and who did not answer."""

    nodes: int
    not_answered: list[str]
    entries: int
    lines: list[str]


class EditedLogReport(msgspec.Struct, frozen=True, kw_only=True):
    """A log of which one byte was changed, and what its verification says."""

    file: str
    finding: str


class WayBackReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was acted out."""

    lookup: LookupReport
    lookup_with_one_away: LookupReport
    consent: ConsentReport
    break_glass: BreakGlassReport
    seen: SeenReport
    edited_log: EditedLogReport


def shortcomings(report: WayBackReport) -> list[str]:
    """What the way back should have shown and did not, in words; empty if all is well."""
    consent, glass = report.consent, report.break_glass
    expected = {
        "the look-up came from fewer than two places": len(report.lookup.sources) > 1,
        "the look-up was not signed for by two key holders": len(set(report.lookup.ticket_holders)) > 1,
        "a holder that was away was not named": bool(report.lookup_with_one_away.unreachable),
        "an objection changed nothing": consent.looked_up_meanwhile == 0 < consent.looked_up_before,
        "the nation kept what the person objects to": consent.nation_meanwhile < consent.nation_before,
        "a withdrawn objection still holds": consent.looked_up_after == consent.looked_up_before,
        "broken glass showed nothing more": glass.broken > glass.for_care > 0,
        "nobody is known to have seen the person": bool(report.seen.lines) and not report.seen.not_answered,
        "broken glass left no reason in a holder's log": any(glass.reason in line for line in glass.trace),
        "an edited log was not found": bool(report.edited_log.finding),
    }
    return [problem for problem, holds in expected.items() if not holds]
