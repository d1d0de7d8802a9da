"""The one error that ends a start; `__main__` prints its text and nothing else, so it says what to do about it."""


class StartError(Exception):
    """Baton cannot start; the message is for the person at the terminal."""
