"""Every metric of a node, in the order they are told in. ``docs/operators/monitoring.md`` says what to alarm on."""

from health_exchange.telemetry.metrics import LONG_SECONDS, SECONDS, Family

NODE = Family(name="node", kind="gauge", text="1, and which node this is.", labels=("address", "tier", "release"))
READY = Family(name="ready", kind="gauge", text="1 while the node can do its own work.")
TROUBLE_SECONDS = Family(
    name="trouble_seconds", kind="gauge", text="How long something is wrong already, by what it is.", labels=("code",)
)
QUEUE_ENVELOPES = Family(
    name="queue_envelopes", kind="gauge", text="Envelopes that the next hop does not have yet.", labels=("peer",)
)
QUEUE_AGE_SECONDS = Family(
    name="queue_age_seconds", kind="gauge", text="How long the oldest of them waits here.", labels=("peer",)
)
RECEIPTS_AWAITED = Family(
    name="receipts_awaited", kind="gauge", text="Envelopes a recipient has not signed for yet.", labels=("peer",)
)
UNSENT_CHANGES = Family(name="unsent_changes", kind="gauge", text="Changes that are in no envelope yet.")
LAG_SECONDS = Family(
    name="envelope_lag_seconds",
    kind="histogram",
    text="From the making of an envelope at its origin to its being kept here, by the child it came through.",
    labels=("child",),
    bounds=LONG_SECONDS,
)
LATEST_LAG_SECONDS = Family(name="latest_lag_seconds", kind="gauge", text="The same of the latest envelope.")
REFUSED_ENVELOPES = Family(name="refused_envelopes", kind="gauge", text="Envelopes whose content was refused here.")
WAITING_SUBJECTS = Family(
    name="waiting_subjects", kind="gauge", text="Subjects that wait for key holders, rounded up to tens."
)
HELD_RESOURCES = Family(
    name="held_resources", kind="gauge", text="Resources kept back, rounded up to tens.", labels=("reason",)
)
RESOURCES = Family(name="resources", kind="gauge", text="Current resources, rounded up to tens.")
COMMIT_SECONDS = Family(
    name="commit_seconds", kind="histogram", text="From the begin of a group of writes to its commit.", bounds=SECONDS
)
REQUESTS = Family(
    name="requests", kind="counter", text="Requests at a door.", labels=("door", "method", "route", "status")
)
REQUEST_SECONDS = Family(
    name="request_seconds", kind="histogram", text="What they took.", labels=("door",), bounds=SECONDS
)
PEER_REQUESTS = Family(
    name="peer_requests",
    kind="counter",
    text="Requests to other nodes: answered, refused, or not answered.",
    labels=("operation", "outcome"),
)
DECISIONS = Family(
    name="decisions",
    kind="counter",
    text="Entries of the log: what was asked or done, and whether it was allowed, refused or failed.",
    labels=("kind", "action", "outcome"),
)
LOG_ENTRIES = Family(name="log_entries", kind="gauge", text="Size of the log.")
LOG_UNCOSIGNED = Family(name="log_uncosigned_entries", kind="gauge", text="Entries no witness has cosigned yet.")
PEER_UP = Family(name="peer_up", kind="gauge", text="1 where the last request was answered.", labels=("peer",))
PEER_CLOCK_SECONDS = Family(
    name="peer_clock_seconds", kind="gauge", text="How far a peer's clock is ahead of ours.", labels=("peer",)
)
QUOTA_USE = Family(
    name="evaluation_quota_use_ratio",
    kind="gauge",
    text="Share of today's quota, of the asking node that has used most.",
)
QUOTA_ASKERS = Family(
    name="evaluation_quota_near_limit", kind="gauge", text="Asking nodes that have used four fifths of today's quota."
)
CERTIFICATE_EXPIRY = Family(
    name="certificate_expiry_timestamp_seconds", kind="gauge", text="When a certificate ends.", labels=("certificate",)
)
KEY_AGE_SECONDS = Family(name="key_age_seconds", kind="gauge", text="Since when a key is in use here.", labels=("key",))
TURN_AGE_SECONDS = Family(
    name="turn_age_seconds", kind="gauge", text="Since when a kind of recurring work was not done.", labels=("turn",)
)
DATABASE_BYTES = Family(name="database_bytes", kind="gauge", text="Size of the database.")
DISK_FREE_BYTES = Family(name="disk_free_bytes", kind="gauge", text="Room where the database is, if it is here.")
