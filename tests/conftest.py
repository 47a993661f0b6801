"""How tests are dealt out to processes (`-n 2`)."""

import signal

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]


class Dealer(LoadScopeScheduling):  # type: ignore[misc]
    """Keeps together what shares servers: a module with its own, and the chaos suite with its release and report.

    Not `--dist loadgroup`: with pytest 9.2, xdist 3.8 does not see the groups.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file.startswith("tests/e2e/chaos/"):
            return "chaos"
        return file if file.startswith(("tests/integration/", "tests/e2e/")) else nodeid


if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C, and so would the programs that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Deal tests out in that way, whatever `--dist` says."""
    return Dealer(config, log)
