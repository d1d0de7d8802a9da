"""Telling a client's own address that a task has ended: signed, at least once, and never to an address inside.

`deliveries` owns the outbox, `sender` is the process that empties it, `posting` is one exchange, `verdicts` say what
follows from it.
"""
