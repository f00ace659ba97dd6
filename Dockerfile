# Two images: `node` (the program) and `database` (PostgreSQL 15 that makes itself ready for its node).
# Both stand on a base given as an argument: an official image, or one made by deploy/images/make.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm
ARG POSTGRES_IMAGE=postgres:15-bookworm

FROM ${PYTHON_IMAGE} AS wheels
# OFFLINE=1 takes the packages from wheels/, which `make wheels` fills from the same lock file.
ARG OFFLINE=0
WORKDIR /build
COPY requirements.lock wheel[s] wheels/
RUN python3 -m venv /opt/health_exchange/venv \
    && if [ "$OFFLINE" = 1 ]; then from="--no-index --find-links wheels"; else from=""; fi \
    && /opt/health_exchange/venv/bin/python3 -m pip install --quiet --no-cache-dir --disable-pip-version-check \
        --only-binary :all: --require-hashes $from -r wheels/requirements.lock \
    && /opt/health_exchange/venv/bin/python3 -m pip uninstall --quiet --yes pip
COPY pyproject.toml /opt/health_exchange/
COPY src /opt/health_exchange/src
COPY migrations /opt/health_exchange/migrations
COPY policies /opt/health_exchange/policies
COPY sample_records /opt/health_exchange/sample_records
COPY deploy/settle.py ./
# Compiled here, because a running node can write nowhere.
RUN /opt/health_exchange/venv/bin/python3 settle.py /opt/health_exchange \
    && /opt/health_exchange/venv/bin/python3 -m compileall -q /opt/health_exchange/src

FROM ${PYTHON_IMAGE} AS node
RUN groupadd --gid 10001 exchange && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin exchange
COPY --from=wheels /opt/health_exchange /opt/health_exchange
COPY deploy/health-exchange /usr/local/bin/health-exchange
ENV PATH=/opt/health_exchange/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /exchange
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=3 CMD ["python3", "-m", "health_exchange.cli.ready", "node.toml"]
ENTRYPOINT ["health-exchange"]
CMD ["node", "run", "--settings", "node.toml"]

FROM ${POSTGRES_IMAGE} AS database
RUN groupadd --gid 10002 database && useradd --uid 10002 --gid 10002 --no-create-home --shell /usr/sbin/nologin database \
    && mkdir -p /var/lib/postgresql/data && chmod 1777 /var/lib/postgresql/data
COPY deploy/database/start /usr/local/bin/start-database
USER 10002:10002
WORKDIR /
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s --timeout=10s --start-period=60s --retries=6 CMD ["/usr/lib/postgresql/15/bin/pg_isready", "--quiet", "--host=/tmp", "--dbname=postgres"]
ENTRYPOINT ["start-database"]
CMD []
