import pytest

from cbi_dagster.catalog.spans import span_limit


@pytest.mark.parametrize(("count", "limit"), [(2, 5), (4, 7), (15, 18), (21, 24), (126, 140), (252, 282)])
def test_an_eighth_of_the_sessions_may_be_missing_but_at_least_four(count: int, limit: int) -> None:
    assert span_limit(count) == limit
