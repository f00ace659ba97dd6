"""What the demo shows of the way back, for people and machines, and what it should have shown."""

import msgspec


class LookupReport(msgspec.Struct, frozen=True, kw_only=True):
    """One look-up: where, why, how long, what came from where, what did not, who signed, and what the logs say of it.

    ``places`` is how many nodes the person has been to, as the sample records say.
    """

    asked_at: str
    purpose: str
    places: int
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
    """Everything that was acted out; ``None`` is what was left out."""

    lookup: LookupReport
    lookup_with_one_away: LookupReport | None
    consent: ConsentReport
    break_glass: BreakGlassReport | None
    seen: SeenReport
    edited_log: EditedLogReport


def shortcomings(report: WayBackReport) -> list[str]:
    """What the way back should have shown and did not, in words; empty if all is well."""
    consent, glass, away = report.consent, report.break_glass, report.lookup_with_one_away
    expected = {
        "the look-up did not come from where the person has been": len(report.lookup.sources) == report.lookup.places,
        "the look-up was not signed for by two key holders": len(set(report.lookup.ticket_holders)) > 1,
        "a holder that was away was not named": away is None or bool(away.unreachable),
        "an objection changed nothing": consent.looked_up_meanwhile == 0 < consent.looked_up_before,
        "the nation kept what the person objects to": consent.nation_meanwhile < consent.nation_before,
        "a withdrawn objection still holds": consent.looked_up_after == consent.looked_up_before,
        "broken glass showed nothing more": glass is None or glass.broken > glass.for_care > 0,
        "nobody is known to have seen the person": bool(report.seen.lines) and not report.seen.not_answered,
        "broken glass left no reason in a holder's log": glass is None
        or any(glass.reason in line for line in glass.trace),
        "an edited log was not found": bool(report.edited_log.finding),
    }
    return [problem for problem, holds in expected.items() if not holds]


def left_out(report: WayBackReport) -> list[str]:
    """What this network could not show, in words, and why."""
    missing = {
        "a look-up with one node away: these nodes are not this program's to stop": report.lookup_with_one_away,
        "broken glass: nobody with restricted records elsewhere has been to these nodes": report.break_glass,
    }
    return [what for what, part in missing.items() if part is None]
