"""The page /docs: the OpenAPI document for people; no script, no request to anybody else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from bitstation.errors import BitStationError
from bitstation.hq.api import problems
from bitstation.hq.api.endpoint import Endpoint

STYLE = """\
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0; }
tr { border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; }
tr:target { outline: 2px solid; }
"""


def docs_page(endpoints: Sequence[Endpoint]) -> str:
    """HTML of the page."""
    operations = "\n".join(_operation_row(endpoint) for endpoint in endpoints)
    errors = "\n".join(_error_row(error) for error in _errors(endpoints))
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>BitStation HQ: HTTP API</title>
<link rel="stylesheet" href="/docs/style.css">
</head>
<body>
<h1>BitStation HQ: HTTP API</h1>
<p>For programs: <a href="/api/v1/openapi.json"><code>/api/v1/openapi.json</code></a>.
HEAD is answered wherever GET is.</p>
<h2>Operations</h2>
<table>
<thead><tr><th>Operation</th><th>Does</th><th>Token</th></tr></thead>
<tbody>
{operations}
</tbody>
</table>
<h2>Errors</h2>
<p>Errors are problem details (RFC 9457); programs go by <code>code</code>.</p>
<table>
<thead><tr><th>Code</th><th>Status</th><th>Says</th></tr></thead>
<tbody>
{errors}
</tbody>
</table>
</body>
</html>
"""


def _operation_row(endpoint: Endpoint) -> str:
    token = "publisher" if endpoint.needs_token else ""
    address = escape(f"{endpoint.method} {endpoint.path}")
    summary = escape(endpoint.summary)
    return f"<tr><td><code>{address}</code></td><td>{summary}</td><td>{token}</td></tr>"


def _error_row(error: type[BitStationError]) -> str:
    code, status = escape(error.code), problems.status_of(error)
    return (
        f'<tr id="{code}"><td><code>{code}</code></td><td>{status}</td>'
        f"<td>{escape(error.message)}</td></tr>"
    )


def _errors(endpoints: Sequence[Endpoint]) -> Iterator[type[BitStationError]]:
    named = {error for endpoint in endpoints for error in endpoint.all_errors}
    return iter(sorted(named | problems.ANYWHERE, key=lambda error: error.code))
