"""Placing: which waiting task goes to which worker now. `policy` and `placement` are pure, `rounds` reads and writes."""
