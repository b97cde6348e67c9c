"""``python -m noisylearn.cli``."""

import sys

from noisylearn.cli import main

if __name__ == "__main__":
    sys.exit(main())
