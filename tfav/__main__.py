"""`python -m tfav` is the `tfav` command."""

import sys

from tfav.cli import main

sys.exit(main())
