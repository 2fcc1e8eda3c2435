"""``python -m switchover.cli`` is the ``switchover`` command."""

import sys

from switchover.cli import main

sys.exit(main())
