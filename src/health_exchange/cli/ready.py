"""``python -m health_exchange.cli.ready node.toml``: exit 0 if the node beside it says that it is ready.

For container engines, which ask every few seconds: the standard library alone, and nothing of the program is loaded.
"""

import http.client
import ssl
import sys
import tomllib
from pathlib import Path

TIMEOUT_S = 4.0


def missing(settings_file: Path) -> str:
    """What the node lacks for being ready, in words; empty if it is."""
    settings = tomllib.loads(settings_file.read_text("utf-8"))
    vouches = settings.get("authority") or settings.get("certificate")
    node: http.client.HTTPConnection
    if vouches:
        trust = ssl.create_default_context(cafile=str(settings_file.resolve().parent / vouches))
        # The node's certificate names this host whatever else it names.
        node = http.client.HTTPSConnection("localhost", settings["fhir_port"], timeout=TIMEOUT_S, context=trust)
    else:
        node = http.client.HTTPConnection("127.0.0.1", settings["fhir_port"], timeout=TIMEOUT_S)
    try:
        node.request("GET", "/health/ready")
        answer = node.getresponse()
        said = answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return f"the node does not answer ({type(error).__name__})"
    finally:
        node.close()
    return "" if answer.status == http.client.OK else said


if __name__ == "__main__":
    sys.exit(missing(Path(sys.argv[1])) or 0)
