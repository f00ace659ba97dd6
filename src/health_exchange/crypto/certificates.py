"""Certificates for TLS 1.3 between nodes: one authority of the network, one certificate per node.

ECDSA P-256, because every TLS stack speaks it. Who a peer is, its signed hop decides (``protocol.hops``); these
certificates keep strangers off the line.

Source: RFC 5280. Serial numbers are drawn by the library from the system's randomness.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650

_BACKDATED = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate and its private key, both PEM; the key stays out of the ``repr``."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return f"Issued(certificate of {len(self.certificate)} bytes)"


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
    signer = x509.load_pem_x509_certificate(authority.certificate)
    signing_key = load_pem_private_key(authority.key, password=None)
    if not isinstance(signing_key, ec.EllipticCurvePrivateKey):
        raise TypeError("an authority's key is on P-256")
    key = ec.generate_private_key(ec.SECP256R1())
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key())
    builder = (
        _builder(name, "", now=now, days=days)
        .issuer_name(signer.subject)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuer, critical=False)
    )
    return _pem(builder.sign(signing_key, hashes.SHA256()), key)


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
        key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
