"""Every property is tested with every case."""

import pytest

from charting.cases import CASES
from charting.rendering import Object, Values, render


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def values(case: str) -> Values:
    return CASES[case]


@pytest.fixture
def objects(values: Values) -> list[Object]:
    return render(values)
