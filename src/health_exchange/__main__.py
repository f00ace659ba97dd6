"""``python -m health_exchange`` is ``health-exchange``."""

from health_exchange.cli.main import main

if __name__ == "__main__":
    main()
