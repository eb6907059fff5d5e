"""The vendor's historical API on the loopback interface, for the unmodified official client, served from files."""

from cbi_dagster_tests.fakes.databento.faults import Fault, Faults
from cbi_dagster_tests.fakes.databento.market import Market
from cbi_dagster_tests.fakes.databento.server import LoopbackDatabento

__all__ = ["Fault", "Faults", "LoopbackDatabento", "Market"]
