"""What a client gives an operation: the arguments in a Parameters resource, each by its name.

Sound FHIR R4 need not name a parameter: an extension may stand for the name. Who reads arguments reads them here.
``$validate`` alone reads its own (``node.validating``), because the resource inside may be anything but sound.

Source: FHIR R4, Parameters; section 3.2.0.3 "Executing an Operation Synchronously".
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from health_exchange.fhir.splicing import fields, items
from health_exchange.fhir.validation import validate
from health_exchange.model.errors import MalformedResourceError


class Argument(NamedTuple):
    """One parameter.

    Attributes:
        name: Its name.
        members: All that it holds, decoded.
        raw: The bytes of all that.
        where: Its place, for messages.
    """

    name: str
    members: Mapping[str, Any]
    raw: bytes
    where: str


def read_arguments(raw: bytes) -> list[Argument]:
    """The parameters of a Parameters resource, in order.

    Args:
        raw: Untrusted.

    Raises:
        MalformedResourceError: The body is no Parameters of FHIR R4, or a parameter has no name.
    """
    view = validate(raw)
    if view.type != "Parameters":
        raise MalformedResourceError(f"the operation takes Parameters, not {view.type}")
    sent = items(fields(raw).get("parameter", b"[]"))
    found: list[Argument] = []
    for index, (members, own) in enumerate(zip(view.decoded.get("parameter", ()), sent, strict=True)):
        where = f"Parameters.parameter[{index}]"
        if "name" not in members:
            raise MalformedResourceError("a parameter has a name", where=where)
        found.append(Argument(name=members["name"], members=members, raw=bytes(own), where=where))
    return found
