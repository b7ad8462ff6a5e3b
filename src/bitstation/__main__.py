"""``python -m bitstation`` is the command ``bitstation``."""

from bitstation.cli.main import main

raise SystemExit(main())
