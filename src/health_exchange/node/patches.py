"""Patching a resource: what is kept now with a JSON Patch or a change of its meta applied, judged as any other version.

Pure, and heavy enough to be done by a worker.
"""

from base64 import b64decode

import msgspec

from health_exchange.fhir.metas import with_meta
from health_exchange.fhir.patching import BadPatchError, apply_patch, read_patch
from health_exchange.fhir.references import reference_texts
from health_exchange.fhir.validation import ResourceView, validate
from health_exchange.model.errors import Category, ExchangeError, MalformedResourceError
from health_exchange.node.findings import findings_of
from health_exchange.node.writes import MetaChange, WriteRequest

JSON_PATCH = "application/json-patch+json"


class PatchBreaksResourceError(ExchangeError):
    """What the patch leaves is no resource of FHIR R4, or another one than was patched."""

    category = Category.INCORRECT
    code = "patch-breaks-resource"


def patch_in(view: ResourceView, where: str) -> bytes:
    """The JSON Patch that an entry of a Bundle carries, as FHIR has it: the content of a Binary.

    Raises:
        BadPatchError: It carries something else.
    """
    decoded = view.decoded
    if view.type != "Binary" or decoded.get("contentType") != JSON_PATCH or "data" not in decoded:
        raise BadPatchError(f"a patch comes as a Binary whose contentType is {JSON_PATCH}", where=f"{where}.resource")
    return b64decode(decoded["data"])


def patched(request: WriteRequest, body: bytes, version: int) -> WriteRequest:
    """The write that a patch comes to.

    Args:
        request: The patch.
        body: What is kept now.
        version: Its number.

    Raises:
        BadPatchError: The patch is none.
        PatchDoesNotApplyError: An operation finds another resource than it was made for.
        PatchBreaksResourceError: What comes out is no sound resource, or another one.
    """
    change = request.patch or b""
    if request.meta is not None:
        raw = with_meta(body, change, deletes=request.meta is MetaChange.DELETE)
    else:
        raw = apply_patch(body, read_patch(change))
    fault: MalformedResourceError | None = None
    view: ResourceView | None = None
    try:
        view = validate(raw, where=f"{request.where}.resource" if request.where else "")
    except MalformedResourceError as error:
        fault = error
    if view is None:
        detail = fault.detail if fault is not None else ""
        raise PatchBreaksResourceError(f"patched: {detail}", where=fault.where if fault is not None else "")
    if view.type != request.type or view.id != msgspec.json.decode(body, type=_Named).id:
        raise PatchBreaksResourceError("a patch changes neither type nor id", where=request.where)
    where = f"{request.where}.resource" if request.where else view.type
    return msgspec.structs.replace(
        request,
        id=view.id,
        raw=view.raw,
        patched=version,
        references=tuple(reference_texts(view.raw)),
        found=findings_of(view, where=where),
    )


class _Named(msgspec.Struct):
    """A kept resource's id."""

    id: str
