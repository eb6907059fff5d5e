import pytest
from hypothesis import settings

from cbi_dagster_tests.properties.worlds import World, simulated

# No example has a deadline: on a busy machine the slowest of hundreds says nothing about the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Everything built from the whole delivery."""
    built = World(tmp_path_factory.mktemp("world"))
    built.land(simulated(tmp_path_factory.mktemp("delivery")))
    built.refresh()
    return built
