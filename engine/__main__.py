"""`python -m engine` is the command `perpetuo`."""

from engine.cli import main

if __name__ == "__main__":
    main()
