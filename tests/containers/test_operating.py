"""What operators do beside running containers, by the commands of docs/operators/containers.md."""

import time

import pytest
from tests.containers.engine import Compose

TAKEN_WITHIN_S = 60.0
PRESENTED = "import ssl; print(ssl.get_server_certificate(('localhost', 8443)))"

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


@pytest.mark.usefixtures("idle")  # taken first: two listeners take more for a while
def test_a_running_node_takes_a_certificate_that_the_nations_operator_has_granted(ready: Compose) -> None:
    node = "cn-33"
    before = ready.execute(node, "python3", "-c", PRESENTED)
    rotate = ("health-exchange", "rotate", "certificate", "--settings", "node.toml")

    ready.execute(node, *rotate)
    request = ready.piped("exec", "-T", node, "cat", "request.json")
    answer = ready.piped("run", "--rm", "-T", "admit", given=request)
    ready.piped("exec", "-T", node, "sh", "-c", "mkdir answer && tar -xC answer", given=answer)
    told = ready.execute(node, *rotate, "--answer", "answer")

    assert "The new certificate is in place" in told
    granted = ready.execute(node, "cat", "certificate.pem")
    assert granted.split() != before.split()
    deadline = time.monotonic() + TAKEN_WITHIN_S
    # The listener of before goes on for a while beside the new one: a connection may meet either.
    while ready.execute(node, "python3", "-c", PRESENTED).split() != granted.split():
        assert time.monotonic() < deadline, "the node goes on with its old certificate"
        time.sleep(1.0)
    ready.until_ready(node)


def test_what_the_nation_is_asked_without_proof_is_not_granted(ready: Compose) -> None:
    told = ready.run("run", "--rm", "-T", "admit", check=False)

    assert "[bad-membership-request]" in told
