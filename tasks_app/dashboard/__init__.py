"""The pages. Server-rendered; see `templates/dashboard`."""
