"""Placing: which waiting task goes to which worker now. `policy` and `placement` are pure; `rounds` does the I/O."""
