"""What the server tells, as frozen dataclasses. Field for field the names of the HTTP API."""
