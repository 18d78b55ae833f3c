"""The doctor: looks at configuration, servers, folders, limits and keys, and says what to do. It changes nothing."""

from feefifod.doctor.examination import Reach, examine
from feefifod.doctor.finding import Finding, Level

__all__ = ["Finding", "Level", "Reach", "examine"]
