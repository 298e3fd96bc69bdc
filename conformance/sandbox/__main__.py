"""`python -m conformance.sandbox`: the supervisor, started by `conformance.sandbox.daemon` inside its namespaces."""

import sys

from conformance.sandbox.supervisor import main

if __name__ == "__main__":
    sys.exit(main())
