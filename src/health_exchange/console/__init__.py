"""Pages for people; read-only status today, the auditors' console later."""
