"""What becomes of finished files in time: packed or removed, once verification has proven again what they brought."""

from feefifod.retention.report import Kept, Report
from feefifod.retention.retention import apply_retention

__all__ = ["Kept", "Report", "apply_retention"]
