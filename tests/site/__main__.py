"""Run the sample news site: `python -m tests.site`."""

import sys

from tests.site.cli import main

sys.exit(main())
