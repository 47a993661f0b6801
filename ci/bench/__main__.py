"""`python ci/bench NAME [ARGUMENT...]`: run one benchmark."""

import runpy
import sys
from pathlib import Path

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        sys.exit(f"usage: python ci/bench {{{'|'.join(NAMES)}}}")
    # The tests' harness too: it drives a cluster already.
    sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "tests")]
    sys.argv = sys.argv[1:]
    runpy.run_module(f"bench.{sys.argv[0]}", run_name="__main__")
