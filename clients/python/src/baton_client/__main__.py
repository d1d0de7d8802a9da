"""`python -m baton_client` is `baton`."""

from baton_client.cli.main import main

if __name__ == "__main__":
    main()
