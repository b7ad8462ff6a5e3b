"""What those who run HQ look at: health, metrics, documentation."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from bitstation.core.wire import API_PREFIX, Health
from bitstation.errors import BitStationError
from bitstation.hq.api import metrics
from bitstation.hq.api.endpoint import JSON, Desk, Endpoint
