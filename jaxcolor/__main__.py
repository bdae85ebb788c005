"""`python -m jaxcolor` is `jaxcolor`."""

from jaxcolor.cli import main

if __name__ == "__main__":
    main()
