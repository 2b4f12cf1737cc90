"""``python -m authsvc.config``: the settings table."""

import sys

from authsvc.config.table import main

sys.exit(main(sys.argv[1:]))
