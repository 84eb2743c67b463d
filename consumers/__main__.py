"""`python -m consumers`: a consumer whose settings are all in the environment."""

import os
import sys

from consumers.run import Wiring, run
from consumers.settings import ConsumerSettings
from engine.errors import EngineError
from engine.kafka.settings import KafkaSettings
from engine.service import show_metrics, stopped_by_signals, tell
from engine.settings import Settings


def main() -> int:
    """Consume until stopped; the exit code."""
    tell()
    try:
        wiring = Wiring(
            Settings.load(os.environ),
            KafkaSettings.load(os.environ),
            ConsumerSettings.load(os.environ),
        )
        show_metrics(wiring.engine)
        with stopped_by_signals() as stop:
            run(wiring, stop)
    except EngineError as error:
        print(f"leadledger: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
