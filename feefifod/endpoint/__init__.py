"""The status endpoint: small answers over HTTP, for supervisors, Prometheus and people."""

from feefifod.endpoint.server import Answers, Body, serve

__all__ = ["Answers", "Body", "serve"]
