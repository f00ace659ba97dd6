"""Certificates chain to the network's authority and name the hosts they were issued for."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from health_exchange.crypto.certificates import issue, make_authority

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_node_certificate_verifies_for_its_host_and_as_a_client() -> None:
    authority = make_authority("test authority", now=NOW)
    issued = issue(authority, "cn/33", ["127.0.0.1", "localhost"], now=NOW, days=30)
    root = x509.load_pem_x509_certificate(authority.certificate)
    leaf = x509.load_pem_x509_certificate(issued.certificate)
    policy = PolicyBuilder().store(Store([root])).time(NOW + timedelta(days=1))

    policy.build_server_verifier(x509.DNSName("localhost")).verify(leaf, [])
    policy.build_client_verifier().verify(leaf, [])
    assert b"PRIVATE KEY" in issued.key
    assert "PRIVATE" not in repr(issued)
