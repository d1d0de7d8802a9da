"""The pages. Server-rendered from `templates/dashboard`; every fragment of them can be asked for again by itself."""
