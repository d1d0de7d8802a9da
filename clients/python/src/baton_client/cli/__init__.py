"""The command `baton`: for people at a terminal, and with --json for scripts."""
