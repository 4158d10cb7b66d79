"""`python -m offhook`: the command line."""

from offhook.cli import main

if __name__ == "__main__":
    main()
