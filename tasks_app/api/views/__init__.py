"""One file per resource. A view parses, calls one service or selector, renders."""
