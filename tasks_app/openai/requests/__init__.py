"""What the bodies under /v1 may hold, and from them to the bodies of ordinary tasks. Knows no request and no row."""
