"""Who may not read everything, or not write everything: conditions on versions, and labels that protect."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.federation.records import condition, national_id, patient
from tests.wiring.alone import Alone, alone

from health_exchange.audit.entries import AuditEntry, decode_entry
from health_exchange.node import conditions
from health_exchange.node.journal import SALT_BYTES
from health_exchange.store import audit_log, resources

pytestmark = pytest.mark.enable_socket

POLICIES = Path(__file__).parents[2] / "policies"
FORBIDDEN = """
@id("nobody-writes-what-is-sensitive")
@reason("it would take another policy")
forbid (principal, action == Action::"write", resource is Record)
when { resource.sensitivity == 4 };

@id("nobody-reads-what-is-restricted")
@reason("it would take another policy")
forbid (principal, action in [Action::"read", Action::"search", Action::"view-person"], resource is Record)
when { resource.sensitivity >= 5 };
"""
LABEL = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
LABELLED = {"resourceType": "Basic", "id": "labelled", "code": {"text": "x"}, "meta": {"security": [LABEL]}}
HERS = {**condition("hers", "p2", "I10"), "meta": {"security": [LABEL]}}


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Alone]:
    """A node at which everybody may write a diagnosis of HIV and nobody reads it; and nobody writes what is sensitive.

    Two sensitive resources were there before, and one that nobody reads was deleted.
    """
    own, folder = tmp_path / "policies" / "own", tmp_path / "node"
    shutil.copytree(POLICIES / "standalone", own)
    shutil.copy(POLICIES / "schema.cedarschema", own.parent)
    (own / "extra.cedar").write_text(FORBIDDEN)
    async with alone(folder) as before:
        for resource in (patient("p2", identity=national_id(2)), LABELLED, HERS):
            assert (await put(before, resource)).status_code == 201
        assert (await put(before, condition("buried", "p2", "B20"))).status_code == 201
        assert (await before.send("DELETE", "/fhir/Condition/buried")).status_code == 204
    with (folder / "node.toml").open("a") as settings:
        settings.write(f'policies = "{own}"\n')
    async with alone(folder) as node:
        for resource in (
            patient("p1", identity=None),
            condition("open", "p1", "I10"),
            condition("hidden", "p1", "B20"),
            condition("hidden-too", "p2", "B20"),
        ):
            assert (await put(node, resource)).status_code == 201
        yield node


async def put(node: Alone, resource: dict[str, Any], **headers: str) -> httpx.Response:
    return await node.send("PUT", f"/fhir/{resource['resourceType']}/{resource['id']}", resource, raw=None, **headers)


async def last_of(node: Alone) -> AuditEntry:
    """The latest entry of the log."""
    await node.take_turns(1)
    store = node.assembled.node.parts.store
    size = store.read_now(audit_log.size)
    found = store.read_now(lambda tx: audit_log.entries(tx, size - 1, size))
    return decode_entry((found[0].raw or b"")[SALT_BYTES:])


def told(answer: httpx.Response) -> tuple[int, str]:
    issue = answer.json()["issue"][0]
    return answer.status_code, issue["diagnostics"]


async def test_if_match_tells_no_more_of_what_is_hidden_than_of_what_is_absent(node: Alone) -> None:
    answers = {
        name: await put(node, condition(name, "p1", "I10"), If_Match='W/"7"') for name in ("open", "hidden", "absent")
    }

    assert {status for status, _words in map(told, answers.values())} == {412}
    assert told(answers["hidden"]) == told(answers["absent"])


async def test_a_condition_that_fails_is_in_the_log_with_whose_record_it_was_about(node: Alone) -> None:
    await put(node, condition("open", "p1", "I10"), If_Match='W/"7"')
    entry = await last_of(node)

    assert (entry.outcome, entry.reason, entry.action) == ("failed", "version-mismatch", "read")


async def test_who_may_not_read_what_is_at_a_place_is_refused_instead_of_told(node: Alone) -> None:
    seen = await put(node, condition("open", "p1", "I10"), If_None_Match="*")
    hidden = await put(node, condition("hidden", "p1", "I10"), If_None_Match="*")
    entry = await last_of(node)
    entry_again = await node.send("GET", "/fhir/Condition/hidden")

    assert [answer.status_code for answer in (seen, hidden, entry_again)] == [412, 403, 404]
    assert (entry.outcome, entry.action) == ("refused", "read")
    assert "version" not in hidden.text


async def test_a_label_is_not_taken_away_by_who_may_not_write_what_it_protects(node: Alone) -> None:
    meta = {"name": "meta", "valueMeta": {"security": [LABEL]}}
    parameters = {"resourceType": "Parameters", "parameter": [meta]}
    patch = [{"op": "remove", "path": "/meta/security"}]
    deleted = await node.send("POST", "/fhir/Basic/labelled/$meta-delete", parameters)
    patched = await node.send("PATCH", "/fhir/Basic/labelled", patch, Content_Type="application/json-patch+json")
    added = await node.send("POST", "/fhir/Condition/open/$meta-add", parameters)
    now = await node.send("GET", "/fhir/Basic/labelled")

    assert [answer.status_code for answer in (deleted, patched, added, now)] == [403, 403, 403, 200]
    assert now.json()["meta"]["security"] == [LABEL]


async def test_a_label_is_not_taken_away_by_writing_the_resource_anew(node: Alone) -> None:
    plain = {name: value for name, value in LABELLED.items() if name != "meta"}
    request = {"method": "PUT", "url": "Basic/labelled"}
    entries = [{"resource": plain, "request": request}]
    transaction = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    by_id = await put(node, plain)
    by_condition = await node.send("PUT", "/fhir/Basic?_id=labelled", plain)
    together = await node.send("POST", "/fhir", transaction)
    apart = await node.send("POST", "/fhir", {**transaction, "type": "batch"})
    now = await node.send("GET", "/fhir/Basic/labelled")

    assert [answer.status_code for answer in (by_id, by_condition, together)] == [403, 403, 403]
    assert apart.json()["entry"][0]["response"]["status"].startswith("403")
    assert now.json()["meta"]["security"] == [LABEL]


async def test_who_is_refused_to_write_over_a_record_leaves_an_entry_about_whose_it_is(node: Alone) -> None:
    deleted = await node.send("DELETE", "/fhir/Condition/hers")
    on_delete = await last_of(node)
    written = await put(node, condition("hers", "p2", "I10"))
    on_update = await last_of(node)

    assert [answer.status_code for answer in (deleted, written)] == [403, 403]
    for entry in (on_delete, on_update):
        assert (entry.outcome, entry.action, len(entry.subjects)) == ("refused", "write", 1)


async def test_a_write_sent_again_gives_back_only_what_may_be_read_now_and_the_log_tells_of_it(node: Alone) -> None:
    answers: dict[tuple[str, str], httpx.Response] = {}
    entries: dict[str, AuditEntry] = {}
    for name, code in (("plain", "I10"), ("secret", "B20")):
        for time in ("first", "again"):
            answers[name, time] = await put(node, condition(name, "p1", code), X_Request_Id=f"once-{name}")
        entries[name] = await last_of(node)

    assert {answer.status_code for answer in answers.values()} == {201}
    assert answers["plain", "again"].content == answers["plain", "first"].content
    assert answers["secret", "first"].json()["id"] == "secret"
    assert (answers["secret", "again"].content, answers["secret", "again"].headers["ETag"]) == (b"", 'W/"1"')
    assert [(entry.action, entry.outcome) for entry in entries.values()] == [("read", "allowed"), ("read", "refused")]


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_a_bundle_sent_again_gives_back_only_what_may_be_read_now(node: Alone, kind: str) -> None:
    entries = [
        {"resource": condition(name, "p1", code), "request": {"method": "PUT", "url": f"Condition/{name}"}}
        for name, code in (("plain", "I10"), ("secret", "B20"))
    ]
    body = {"resourceType": "Bundle", "type": kind, "entry": entries}
    sent = [
        await node.send("POST", "/fhir", body, X_Request_Id="once", Prefer="return=representation")
        for _time in range(2)
    ]
    first, again = ([each.get("resource", {}).get("id") for each in answer.json()["entry"]] for answer in sent)

    assert (first, again) == (["plain", "secret"], ["plain", None])


async def test_labels_added_again_are_told_only_to_who_may_read_them(node: Alone) -> None:
    meta = {"name": "meta", "valueMeta": {"security": [{**LABEL, "code": "V"}]}}
    parameters = {"resourceType": "Parameters", "parameter": [meta]}
    first, again = [
        await node.send("POST", "/fhir/Condition/open/$meta-add", parameters, X_Request_Id="once") for _time in range(2)
    ]
    absent = await node.send("GET", "/fhir/Condition/absent")

    assert first.json()["parameter"][0]["valueMeta"]["security"] == [{**LABEL, "code": "V"}]
    assert told(again) == told(absent)


def version_of(node: Alone, name: str) -> tuple[int, bool]:
    """The version of a Condition as it is kept, and whether that is a tombstone."""
    kept = node.assembled.node.parts.store.read_now(lambda tx: resources.current(tx, "Condition", name))
    assert kept is not None
    return kept.version, kept.deleted


@pytest.mark.parametrize("asked", [{}, {"If_Match": 'W/"1"'}, {"If_Match": 'W/"2"'}, {"If_Match": 'W/"0"'}])
@pytest.mark.parametrize("name", ["hidden", "hidden-too", "buried"])
async def test_a_delete_tells_no_more_of_what_is_hidden_than_of_what_is_absent(
    node: Alone, name: str, asked: dict[str, str]
) -> None:
    before = version_of(node, name)
    absent = await node.send("DELETE", "/fhir/Condition/absent", raw=None, **asked)
    hidden = await node.send("DELETE", f"/fhir/Condition/{name}", raw=None, **asked)

    assert told(hidden) == told(absent)
    assert (hidden.status_code, hidden.headers.get("ETag")) == (412 if asked else 404, None)
    assert version_of(node, name) == before


async def test_what_a_delete_would_have_told_of_is_in_the_log_as_refused_with_whose_record_it_was(node: Alone) -> None:
    entries = []
    for name, asked in (("hidden-too", {}), ("hidden-too", {"If_Match": 'W/"1"'}), ("buried", {})):
        await node.send("DELETE", f"/fhir/Condition/{name}", raw=None, **asked)
        entries.append(await last_of(node))

    assert {(entry.outcome, entry.action, len(entry.subjects)) for entry in entries} == {("refused", "read", 1)}


async def test_the_right_version_of_what_is_hidden_is_as_wrong_as_any_other(node: Alone) -> None:
    answers = [await put(node, condition("hidden", "p1", "B20"), If_Match=f'W/"{each}"') for each in (0, 1, 2)]
    absent = await put(node, condition("absent", "p1", "B20"), If_Match='W/"1"')

    assert [told(answer) for answer in answers] == [told(absent)] * 3
    assert version_of(node, "hidden") == (1, False)


@pytest.mark.parametrize("query", ["_id=hidden", "code=B20"])
async def test_nobody_patches_or_deletes_by_a_condition_what_he_may_not_read(node: Alone, query: str) -> None:
    media = "application/json-patch+json"
    patched = await node.send("PATCH", f"/fhir/Condition?{query}", raw=b"[]", Content_Type=media)
    nothing = await node.send("PATCH", "/fhir/Condition?_id=absent", raw=b"[]", Content_Type=media)
    deleted = await node.send("DELETE", f"/fhir/Condition?{query}")

    assert told(patched) == told(nothing) == (404, "the condition finds nothing")
    assert (deleted.status_code, deleted.headers.get("ETag")) == (204, None)
    assert version_of(node, "hidden") == version_of(node, "hidden-too") == (1, False)


async def test_a_condition_that_also_means_what_is_hidden_finds_the_one_that_may_be_read(node: Alone) -> None:
    request = {"method": "DELETE", "url": "Condition?clinical-status=active&_id=open,hidden"}
    body = {"resourceType": "Bundle", "type": "transaction", "entry": [{"request": request}]}
    answer = await node.send("POST", "/fhir", body)

    assert answer.json()["entry"][0]["response"]["status"].startswith("204")
    assert (version_of(node, "open"), version_of(node, "hidden")) == ((2, True), (1, False))


async def test_a_conditional_create_gives_id_and_version_of_what_it_finds_only_to_who_may_read_it(node: Alone) -> None:
    answers, places = [], []
    for name in ("open", "hidden"):
        resource = condition("new", "p1", "I10")
        answers.append(await node.send("POST", "/fhir/Condition", resource, If_None_Exist=f"_id={name}"))
        request = {"method": "POST", "url": "Condition", "ifNoneExist": f"_id={name}"}
        body = {"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": resource, "request": request}]}
        sent = await node.send("POST", "/fhir", body, Prefer="return=representation")
        places.append(sent.json()["entry"][0])

    seen, hidden = answers
    assert [answer.status_code for answer in answers] == [200, 200]
    assert (seen.json()["id"], seen.headers["ETag"]) == ("open", 'W/"1"')
    assert seen.headers["Location"].endswith("/fhir/Condition/open/_history/1")
    assert (hidden.content, hidden.headers.get("ETag"), hidden.headers.get("Location")) == (b"", None, None)
    assert places[0]["response"]["location"] == "Condition/open/_history/1"
    assert places[1] == {"response": {"status": "200 OK"}}
    assert version_of(node, "hidden") == (1, False)


@pytest.mark.parametrize("url", ["Condition/hidden", "Condition?_id=hidden", "Condition?code=B20&patient=p1"])
async def test_an_update_gives_neither_id_nor_version_of_what_it_writes_over_unseen(node: Alone, url: str) -> None:
    resource = {
        name: value for name, value in condition("hidden", "p1", "I10").items() if name != "id" or "?" not in url
    }
    alone = await node.send("PUT", f"/fhir/{url}", resource)
    by_who_sees_it = await node.send(
        "PUT", f"/fhir/{url.replace('B20', 'I10').replace('p1', 'p1&_id=hidden')}", resource
    )
    await put(node, condition("hidden", "p1", "B20"))
    entry = {"resource": resource, "request": {"method": "PUT", "url": url}}
    body = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    together = (await node.send("POST", "/fhir", body, Prefer="return=representation")).json()["entry"][0]

    assert (alone.status_code, alone.content) == (200, b"")
    assert (alone.headers.get("ETag"), alone.headers.get("Location")) == (None, None)
    assert (by_who_sees_it.headers["ETag"], by_who_sees_it.json()["id"]) == ('W/"3"', "hidden")
    assert (together.keys(), together["response"].keys()) == ({"response"}, {"status", "lastModified"})
    assert version_of(node, "hidden") == (5, False)


@pytest.mark.parametrize("name", ["hidden-too", "of-hers"])
async def test_the_entry_of_a_write_names_one_person_alone(node: Alone, name: str) -> None:
    await put(node, condition("of-hers", "p2", "I10"))
    written = await put(node, condition(name, "p1", "I10"))
    entry = await last_of(node)

    assert (written.status_code, entry.outcome, entry.action, len(entry.subjects)) == (200, "allowed", "write", 1)


async def referring(
    node: Alone,
    condition_query: str,
    *beside: dict[str, Any],
    **said: Any,  # noqa: ANN401  # any JSON value
) -> tuple[httpx.Response, AuditEntry]:
    """What comes of a record about p1 that refers to a Condition by a query, and its entry."""
    detail = {"reference": f"Condition?{condition_query}"}
    resource = condition("x", "p1", "I10") | {"evidence": [{"detail": [detail]}], **said}
    entry = {"resource": resource, "request": {"method": "POST", "url": "Condition"}}
    body = {"resourceType": "Bundle", "type": "transaction", "entry": [entry, *beside]}
    answer = await node.send("POST", "/fhir", body, Prefer="return=representation")
    return answer, await last_of(node)


@pytest.mark.parametrize("query", ["_id=hidden-too", "code=B20&patient=p2", "_id=hidden-too,buried"])
async def test_a_reference_by_a_condition_finds_nothing_of_what_the_caller_may_not_read(
    node: Alone, query: str
) -> None:
    hidden, entry = await referring(node, query)
    absent, other = await referring(node, "_id=absent")

    assert told(hidden) == told(absent)
    assert hidden.status_code == 400
    assert [(each.outcome, each.action, len(each.subjects)) for each in (entry, other)] == [
        ("failed", "search", 1),
        ("failed", "search", 0),
    ]


async def test_a_reference_by_a_condition_finds_what_may_be_read_and_names_in_the_log_whose_it_is(node: Alone) -> None:
    await put(node, condition("of-hers", "p2", "I10"))
    found, entry = await referring(node, "_id=of-hers,hidden")

    assert found.json()["entry"][0]["resource"]["evidence"][0]["detail"] == [{"reference": "Condition/of-hers"}]
    assert (entry.outcome, entry.action, len(entry.subjects)) == ("allowed", "write", 1)


async def test_a_reference_by_a_condition_that_finds_several_names_in_the_log_whose_they_are(node: Alone) -> None:
    for name in ("one", "other"):
        await put(node, condition(name, "p2", "I10"))
    refused, entry = await referring(node, "_id=one,other")

    assert refused.status_code == 412
    assert (entry.outcome, entry.reason, len(entry.subjects)) == ("failed", "ambiguous-match", 1)


@pytest.mark.parametrize("query", ["_id=of-hers,hidden", "_id=hidden-too,of-hers"])
async def test_a_refusal_to_write_names_in_the_log_whose_record_a_reference_has_found_before(
    node: Alone, query: str
) -> None:
    await put(node, condition("of-hers", "p2", "I10"))
    refused, entry = await referring(node, query, meta={"security": [LABEL]})

    assert (refused.status_code, entry.outcome, entry.action) == (403, "refused", "write")
    assert (len(entry.subjects), entry.summary) == (1, "Condition; conditions: Condition")


async def test_a_delete_of_what_is_hidden_names_in_the_log_whose_record_a_reference_has_found_before(
    node: Alone,
) -> None:
    await put(node, condition("of-hers", "p2", "I10"))
    deleted, entry = await referring(node, "_id=of-hers", {"request": {"method": "DELETE", "url": "Condition/hidden"}})

    assert (deleted.status_code, entry.outcome, entry.action) == (404, "refused", "read")
    assert (len(entry.subjects), entry.summary) == (1, "1 Condition; conditions: Condition")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_condition_that_finds_several_names_in_the_log_whose_they_are(node: Alone, method: str) -> None:
    for name in ("one", "other"):
        await put(node, condition(name, "p2", "I10"))
    new = {name: value for name, value in condition("", "p1", "I10").items() if name != "id"}
    if method == "POST":
        answer = await node.send("POST", "/fhir/Condition", new, If_None_Exist="_id=one,other")
    elif method == "PATCH":
        media = "application/json-patch+json"
        answer = await node.send("PATCH", "/fhir/Condition?_id=one,other", raw=b"[]", Content_Type=media)
    else:
        answer = await node.send(method, "/fhir/Condition?_id=one,other", new if method == "PUT" else None)
    entry = await last_of(node)

    assert answer.status_code == 412
    assert (entry.outcome, entry.reason, entry.action) == ("failed", "ambiguous-match", "search")
    assert (len(entry.subjects), entry.summary) == (1, "conditions: Condition")


@pytest.mark.parametrize("query", ["code=I10", "code=B20"])
async def test_conditions_that_find_records_of_too_many_persons_are_refused_and_name_none_of_them(
    node: Alone, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(node, condition("of-hers", "p2", "I10"))
    monkeypatch.setattr(conditions, "OTHERS_MAX", 0)
    of_one, _entry = await referring(node, f"{query}&patient=p1&_id=absent,hidden-too,open")
    of_two, entry = await referring(node, query)

    assert "persons" not in of_one.text
    assert (of_two.status_code, "persons" in of_two.text) == (412, True)
    assert (entry.outcome, entry.reason, len(entry.subjects)) == ("failed", "ambiguous-match", 0)
