"""Who may do what, written a second time: from the sentences of DESIGN.md and of issue 3, not from ``policies/``.

It shares no line with the policies or the engine, so that a slip in one of them is a disagreement. Each function is a
sentence of its source, which stands above it.
"""

from health_exchange.policy.questions import Question

CARE = {"TREAT", "ETREAT"}
CATEGORIES = {"general", "PSY", "SEX", "GDIS", "SDV", "SUD", "HIV"}
LEVELS_OPENED = {"city": 2, "province": 3, "nation": 3}
HOLDINGS = {"read-log", "view-disclosures", "view-statistics", "locate"}
READING = {"read", "search", "view-person"}


def may(question: Question) -> bool:
    """Whether it is allowed."""
    if question.action in HOLDINGS:
        return _may_with_holdings(question)
    if question.resource_class is None:
        return False
    if question.principal.kind in {"facility", "desk"} or str(question.action) == "erase":
        return _facility_may(question) if question.principal.kind == "facility" else _owed(question)
    if question.purpose == "BTG":
        # "5 by consent or break-glass"; "purpose BTG, mandatory reason": for look-ups, and then whatever the consents.
        return question.principal.kind == "clinician" and question.action == "look-up" and question.reasoned
    denied = _said("deny", question)
    by_label = str(question.resource_class.category) == "general" and int(question.resource_class.sensitivity) >= 4
    if _objects(question) or str(question.resource_class.category) in denied or ("R" in denied and by_label):
        # Issue 2: "consent against sharing (whole or a category)".
        return False
    return _shared(question)


def _may_with_holdings(question: Question) -> bool:
    """A node's log, counts and locators."""
    who, action, purpose = question.principal, str(question.action), str(question.purpose)
    if action == "read-log":
        # "auditor reads logs and no records"
        return who.kind == "auditor" and purpose == "HLEGAL"
    if action == "view-disclosures":
        # Issue 3: "who has seen them", for the person as for auditors.
        return (who.kind, purpose) in {("auditor", "HLEGAL"), ("desk", "PATRQT")}
    if action == "view-statistics":
        # "researcher nothing at person level"; authorised readers and those who plan see counts, nobody by force.
        return who.kind in {"viewer", "researcher", "operator"} and purpose != "BTG"
    # "Default grants: city <= 2 and locator; province <= 3; nation <= 3 and locator"; "Consent against sharing as a
    # whole stops records and locator".
    return who.kind == "node" and who.tier in {"city", "nation"} and purpose != "BTG" and not _objects(question)


def _facility_may(question: Question) -> bool:
    """Who stays at home: "only the origin changes a resource"; there care goes on whatever the person objects to."""
    assert question.resource_class is not None
    at_home = question.principal.address in {"", question.resource_class.jurisdiction}
    return at_home and str(question.action) in READING | {"write"} and str(question.purpose) in CARE


def _owed(question: Question) -> bool:
    """Issue 3: "my records", "shredding on a lawful request": at the admitting node, whatever the person objects to."""
    assert question.resource_class is not None
    who, at_home = question.principal, question.principal.address in {"", question.resource_class.jurisdiction}
    if str(question.purpose) != "PATRQT" or not at_home:
        return False
    if str(question.action) == "erase":
        return who.kind in {"desk", "operator"}
    return who.kind == "desk" and str(question.action) in {"read", "view-person"}


def _shared(question: Question) -> bool:
    """What somebody above or beside the origin may have, where the person objects to nothing of it."""
    assert question.resource_class is not None
    who, action, purpose = question.principal, str(question.action), str(question.purpose)
    level = int(question.resource_class.sensitivity)
    if action == "open":
        # "every tier opens only what its tier is granted"; "Levels 4 and 5 are pushed nowhere".
        own_area = f"{question.resource_class.jurisdiction}/".startswith(f"{who.address}/")
        return who.kind == "node" and own_area and level <= LEVELS_OPENED.get(who.tier, 0)
    if action == "look-up":
        # Issue 3: "Sensitivity 4 on demand, 5 by consent or break-glass only".
        granted = str(question.resource_class.category) in _said("permit", question)
        return who.kind == "clinician" and purpose in CARE and (level <= 4 or granted)
    if action in READING:
        # The unified view holds level 3 at most; viewers read it for care and public health, clinicians for care.
        purposes = {"viewer": CARE | {"PUBHLTH"}, "clinician": CARE}.get(who.kind, set())
        return purpose in purposes and level <= 3
    return False


def _objects(question: Question) -> bool:
    """Whether the person objects to all sharing, or has said what nobody understands: "refuses on any doubt"."""
    return question.consent == "deny:*" or not _is_understood(question.consent)


def _is_understood(consent: str) -> bool:
    """Whether it is ``deny:`` and ``permit:`` with known categories, each list sorted and without repetition."""
    if consent == "":
        return True
    verbs = [part.split(":", 1)[0] for part in consent.split(";")]
    if verbs not in (["deny"], ["permit"], ["deny", "permit"]):
        return consent == "deny:*"
    lists = [part.split(":", 1)[1].split(",") if ":" in part else [""] for part in consent.split(";")]
    known = [CATEGORIES | {"R"} if verb == "deny" else CATEGORIES for verb in verbs]
    return all(names == sorted(set(names)) and set(names) <= kinds for names, kinds in zip(lists, known, strict=True))


def _said(verb: str, question: Question) -> set[str]:
    """The categories that the person denies or permits."""
    for part in question.consent.split(";"):
        if part.startswith(f"{verb}:"):
            return set(part.removeprefix(f"{verb}:").split(","))
    return set()
