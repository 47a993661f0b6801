"""The image's size, and how long its processes take to start: container start to the first line of work.

Needs Docker and the image `stalk` (docker build -f images/Dockerfile -t stalk .).
"""

import statistics
import subprocess
import time

ROUNDS = 5
RUN = ["docker", "run", "--rm", "--read-only", "--tmpfs", "/tmp", "stalk"]  # noqa: S108
STARTS = {
    "python alone": ["python", "-c", "pass"],
    "stalk probe (exits 1: no worker)": ["stalk", "probe", "live"],
    "import of the API": ["python", "-c", "import app.main"],
    "import of the worker": ["python", "-c", "import app.worker.celery_worker, celery.apps.worker"],
    "celery worker --help": ["celery", "-A", "app.worker.celery_worker", "worker", "--help"],
}


def seconds(words: list[str]) -> float:
    """Return how long one container lived."""
    started = time.monotonic()
    subprocess.run([*RUN, *words], check=False, capture_output=True)
    return time.monotonic() - started


def main() -> None:
    """Measure and print."""
    size = subprocess.run(
        ["docker", "image", "inspect", "-f", "{{.Size}}", "stalk"], check=True, capture_output=True, text=True
    ).stdout
    print(f"image size {int(size) / 1e6:.0f} MB\n")
    print(f"{'cold start, median of ' + str(ROUNDS):36}{'seconds':>9}{'own part':>10}")
    floor = 0.0
    for name, words in STARTS.items():
        took = statistics.median(seconds(words) for _ in range(ROUNDS))
        floor = floor or took
        print(f"{name:36}{took:9.2f}{took - floor:10.2f}")


if __name__ == "__main__":
    main()
