"""From settings to a running node: the only place where parts are constructed and tasks start."""
