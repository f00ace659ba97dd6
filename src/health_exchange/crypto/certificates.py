"""Certificates for TLS 1.3 between nodes: one authority of the network, one certificate per node.

ECDSA P-256, because every TLS stack speaks it. Who a peer is, its signed hop decides (``protocol.hops``); these
certificates keep strangers off the line.

Source: RFC 5280. Serial numbers are drawn by the library from the system's randomness.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from health_exchange.model.errors import Category, ExchangeError

AUTHORITY_DAYS = 3650

_BACKDATED = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate and its private key, both PEM; the key stays out of the ``repr``."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return f"Issued(certificate of {len(self.certificate)} bytes)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """A request for a certificate and the private key it is for, both PEM; the key stays out of the ``repr``."""

    request: bytes
    key: bytes = field(repr=False)


class BadCertificateError(ExchangeError):
    """A certificate or a request for one cannot be used."""

    category = Category.INCORRECT
    code = "bad-certificate"


def make_authority(name: str, *, now: datetime) -> Issued:
    """A self-signed authority of ten years that may sign certificates of nodes and no further authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(name, name, now=now, days=AUTHORITY_DAYS)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _pem(builder.sign(key, hashes.SHA256()), key)


def issue(authority: Issued, name: str, hosts: Sequence[str], *, now: datetime, days: int) -> Issued:
    """A certificate for server and client use.

    Args:
        authority: As made by ``make_authority``.
        name: Common name, the node's address.
        hosts: DNS names and IP addresses it answers under.
        now: It is valid from five minutes before.
        days: How long it is valid.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certify(authority, key.public_key(), name, hosts, now=now, days=days)
    return _pem(certificate, key)


def request_certificate(name: str) -> Requested:
    """A new private key, and a request that proves its possession; the key need never leave this machine."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(name)).sign(key, hashes.SHA256())
    return Requested(request=request.public_bytes(Encoding.PEM), key=_key_pem(key))


def issue_requested(
    authority: Issued, request: bytes, name: str, hosts: Sequence[str], *, now: datetime, days: int
) -> bytes:
    """The certificate that was requested, PEM; names and hosts are as given here, whatever the request asks for.

    Raises:
        BadCertificateError: It is no request, is not signed by its own key, or that is not on P-256.
    """
    try:
        asked = x509.load_pem_x509_csr(request)
        public = asked.public_key() if asked.is_signature_valid else None
    except (ValueError, UnsupportedAlgorithm):
        public = None
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise BadCertificateError("the request for a certificate cannot be read, or is not signed by its own P-256 key")
    return _certify(authority, public, name, hosts, now=now, days=days).public_bytes(Encoding.PEM)


def check_pair(certificate: bytes, key: bytes, authority: bytes, *, name: str, now: datetime) -> datetime:
    """Until when a node's certificate is valid, once it fits its key, its name and the network's authority.

    Raises:
        BadCertificateError: It does not, or it is not valid now.
    """
    problem = "a file of the certificate cannot be read"
    try:
        found, above = x509.load_pem_x509_certificate(certificate), x509.load_pem_x509_certificate(authority)
        private = load_pem_private_key(key, password=None)
        problem = "the certificate is not by the network's authority"
        found.verify_directly_issued_by(above)
        if private.public_key() != found.public_key():
            problem = "the certificate is for another private key"
        elif found.subject != _name(name):
            problem = f"the certificate is not that of {name}"
        elif not found.not_valid_before_utc <= now < found.not_valid_after_utc:
            problem = "the certificate is not valid now"
        else:
            return found.not_valid_after_utc
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        pass
    raise BadCertificateError(problem)


def _certify(
    authority: Issued, public: ec.EllipticCurvePublicKey, name: str, hosts: Sequence[str], *, now: datetime, days: int
) -> x509.Certificate:
    """A certificate of ``authority`` for ``public``."""
    signer = x509.load_pem_x509_certificate(authority.certificate)
    signing_key = load_pem_private_key(authority.key, password=None)
    if not isinstance(signing_key, ec.EllipticCurvePrivateKey):
        raise TypeError("an authority's key is on P-256")
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key())
    builder = (
        _builder(name, "", now=now, days=days)
        .issuer_name(signer.subject)
        .public_key(public)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(issuer, critical=False)
    )
    certificate = builder.sign(signing_key, hashes.SHA256())
    try:
        certificate.verify_directly_issued_by(signer)
    except InvalidSignature:
        raise BadCertificateError("the authority's private key is not that of its certificate") from None
    return certificate


def ends_at(certificate: bytes) -> datetime:
    """When a certificate, PEM, ends.

    Raises:
        ValueError: It is none.
    """
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc


def _builder(subject: str, issuer: str, *, now: datetime, days: int) -> x509.CertificateBuilder:
    """What every certificate has; without an issuer where ``issuer`` is empty."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
    )
    return builder.issuer_name(_name(issuer)) if issuer else builder


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _host(text: str) -> x509.GeneralName:
    """An IP address if it is one, a DNS name otherwise."""
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Issued:
    return Issued(
        certificate=certificate.public_bytes(Encoding.PEM),
        key=_key_pem(key),
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
