"""Whom a ticket is for: shown to those who keep the person, and to nobody else.

A ticket names a blinded element only. The asking node shows a holder of the person the blinding, and the holder, who
has the identity in the Patient it admitted, checks that the two make the ticket's element: so a ticket for one person
cannot be used for another, also not by a node that keeps the other's pseudonym from earlier.

The blinding would let its reader try out identities. So it travels sealed under a link key, which is derived from the
same evaluation as the pseudonym: who never had the identity evaluated does not have it, whatever else he is sent.
"""

from health_exchange.crypto.sealing import SealBrokenError, open_sealed, seal
from health_exchange.model.secrecy import Secret
from health_exchange.pseudonym.group import BadElementError, Element, decode_scalar, encode_scalar, multiply
from health_exchange.pseudonym.identities import Identity
from health_exchange.pseudonym.threshold import element_of


def seal_blinding(link: Secret, blinding: int, *, about: bytes, nonce: bytes) -> bytes:
    """The blinding for whoever has the person's link key; ``about`` names the look-up, ``nonce`` is 12 fresh bytes."""
    return seal(link, encode_scalar(blinding), aad=about, nonce=nonce)


def is_bound(link: Secret, sealed: bytes, element: bytes, identity: Identity, *, about: bytes) -> bool:
    """Whether a ticket's ``element`` is ``identity`` under the sealed blinding; two multiplications.

    Args:
        link: The identity's link key.
        sealed: From :func:`seal_blinding`. Untrusted.
        element: The ticket's. Untrusted.
        identity: Of the person whose records are asked for.
        about: Names the look-up.
    """
    try:
        blinding = decode_scalar(open_sealed(link, sealed, aad=about))
        return multiply(blinding, element_of(identity)) == Element(element)
    except (SealBrokenError, BadElementError):
        return False
