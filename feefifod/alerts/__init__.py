"""Telling an operator what needs attention, and when it is over."""

from feefifod.alerts.alerter import Alert, Alerter
from feefifod.alerts.delivery import deliver

__all__ = ["Alert", "Alerter", "deliver"]
