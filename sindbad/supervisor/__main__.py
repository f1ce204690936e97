"""``python -m sindbad.supervisor RUN_DIR SERVICES_YAML [NAME…]``: what ``sindbad up --detach`` leaves running."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from sindbad.supervisor.spec import choose, read_specs
from sindbad.supervisor.supervisor import serve_forever


def main() -> None:
    """Serve until SIGTERM."""
    run_dir, file, *names = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    serve_forever(Path(run_dir), choose(read_specs(file), names))


if __name__ == "__main__":
    main()
