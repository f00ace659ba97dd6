"""Every way an envelope can be refused, each under its own code; receipts of refusal carry the code."""

from health_exchange.model.errors import Category, ExchangeError


class PoisonEnvelopeError(ExchangeError):
    """The bytes are no envelope; the same bytes never will be."""

    category = Category.INCORRECT
    code = "poison-envelope"


class EnvelopeVersionError(ExchangeError):
    """An envelope of a version this node does not know."""

    category = Category.UNSUPPORTED
    code = "envelope-version"


class EnvelopeSuiteError(ExchangeError):
    """An envelope under a suite this node does not know."""

    category = Category.UNSUPPORTED
    code = "envelope-suite"


class EnvelopeStrangerError(ExchangeError):
    """The origin is in no directory we were given."""

    category = Category.FORBIDDEN
    code = "envelope-stranger"


class EnvelopeSignatureError(ExchangeError):
    """The named origin did not sign these bytes."""

    category = Category.FORBIDDEN
    code = "envelope-signature"


class NotARecipientError(ExchangeError):
    """The envelope is not addressed to this node, or not to the key it has."""

    category = Category.FORBIDDEN
    code = "not-a-recipient"


class BrokenSectionError(ExchangeError):
    """Signed and addressed to us, yet a wrap, commitment, seal or padding does not hold: the origin is at fault."""

    category = Category.INCORRECT
    code = "broken-section"
