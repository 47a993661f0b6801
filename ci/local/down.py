"""`make down`: end what a crashed or forgotten `make up` left running. Its data stays."""

from local.processes import end
from local.up import RUN

if __name__ == "__main__":
    ended = end(RUN, grace=20)
    print(f"ended {ended} processes" if ended else "nothing was running")
