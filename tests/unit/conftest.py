"""What unit tests share."""

import pytest
import trustme


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority; to make one takes a while."""
    return trustme.CA()
