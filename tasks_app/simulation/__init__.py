"""The scheduler's policy in virtual time: what it would do with other machines, other work, or another policy. Pure."""
