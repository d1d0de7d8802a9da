"""Images that a task reads: what is accepted, taken in at submit, and put on the worker's disk before inference."""
