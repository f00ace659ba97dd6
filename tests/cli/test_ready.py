"""What a container engine asks of a node, by the command that it runs: ready, not ready, or away."""

import http.server
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from health_exchange.crypto.certificates import issue, make_authority

pytestmark = pytest.mark.enable_socket


class Door(http.server.BaseHTTPRequestHandler):
    """Answers as the server it is of wants."""

    def do_GET(self) -> None:  # the library's name for it
        status, said = self.server.answer  # type: ignore[attr-defined]  # the fixture sets it
        self.send_response(status if self.path == "/health/ready" else 404)
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name for it
        """Nothing to the tests' output."""


@pytest.fixture
def door(tmp_path: Path) -> Iterator[http.server.HTTPServer]:
    """A TLS server with a certificate of the network's authority, and ``node.toml`` that names both."""
    now = datetime.now(UTC)
    authority = make_authority("test", now=now)
    issued = issue(authority, "cn", ["localhost"], now=now, days=1)
    (tmp_path / "authority.pem").write_bytes(authority.certificate)
    (tmp_path / "node.pem").write_bytes(issued.certificate + issued.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "node.pem")
    server = http.server.HTTPServer(("127.0.0.1", 0), Door)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    (tmp_path / "node.toml").write_text(f'authority = "authority.pem"\nfhir_port = {server.server_port}\n')
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def ask(folder: Path) -> tuple[int, str]:
    done = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-m", "health_exchange.cli.ready", str(folder / "node.toml")],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_a_node_that_is_ready_is_healthy(door: http.server.HTTPServer, tmp_path: Path) -> None:
    door.answer = (200, b"ready")  # type: ignore[attr-defined]  # read by the handler

    assert ask(tmp_path) == (0, "")


def test_what_a_node_lacks_is_told(door: http.server.HTTPServer, tmp_path: Path) -> None:
    door.answer = (503, b"the database is away")  # type: ignore[attr-defined]  # read by the handler

    assert ask(tmp_path) == (1, "the database is away\n")


def test_another_authoritys_node_is_not_ours(door: http.server.HTTPServer, tmp_path: Path) -> None:
    door.answer = (200, b"ready")  # type: ignore[attr-defined]  # read by the handler
    (tmp_path / "authority.pem").write_bytes(make_authority("other", now=datetime.now(UTC)).certificate)

    assert ask(tmp_path) == (1, "the node does not answer (SSLCertVerificationError)\n")


def test_a_node_that_is_away_is_not_healthy(tmp_path: Path) -> None:
    authority = make_authority("test", now=datetime.now(UTC))
    (tmp_path / "authority.pem").write_bytes(authority.certificate)
    (tmp_path / "node.toml").write_text('authority = "authority.pem"\nfhir_port = 1\n')

    assert ask(tmp_path) == (1, "the node does not answer (ConnectionRefusedError)\n")


def test_a_node_without_a_certificate_is_asked_in_plain_on_its_own_machine(tmp_path: Path) -> None:
    server = http.server.HTTPServer(("127.0.0.1", 0), Door)
    server.answer = (200, b"ready")  # type: ignore[attr-defined]  # read by the handler
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    (tmp_path / "node.toml").write_text(f"fhir_port = {server.server_port}\n")

    told = ask(tmp_path)

    server.shutdown()
    thread.join()
    server.server_close()
    assert told == (0, "")
