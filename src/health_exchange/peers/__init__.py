"""How messages travel between nodes: HTTPS between processes, direct calls within one."""
