"""What stays open: answers that wait for a change, holding neither a thread nor a database connection."""
