"""Templates, static files, and the header fields that make hostile text harmless.

Everything that was logged is hostile text: templates escape all of it, no page holds a script or a style of its own,
and the policy would not let one run.

This module must not know what pages show.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Any
from urllib.parse import quote

import jinja2
import msgspec

from netrunner import __version__
from netrunner.times import stamp
from netrunner.values import Answer, Headers
from netrunner.web.dashboard import rows

POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SAFE: Headers = [
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
"""On everything the dashboard answers."""
HTML: Headers = [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-store"), *SAFE]
JSON: Headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), *SAFE]
_PACKAGE = "netrunner.web.dashboard"
_TYPES = {"css": b"text/css; charset=utf-8", "js": b"text/javascript; charset=utf-8", "svg": b"image/svg+xml"}


class Asset(msgspec.Struct, frozen=True):
    """A static file, under a name that changes with its content."""

    name: str
    content_type: bytes
    etag: bytes
    body: bytes


class Look:
    """All that pages are drawn with; reads the package's files once, here."""

    def __init__(self) -> None:
        found = [
            one for one in (resources.files(_PACKAGE) / "static").iterdir() if one.name.rpartition(".")[2] in _TYPES
        ]
        self._names = {}
        self.assets: dict[str, Asset] = {}
        for file in sorted(found, key=lambda one: one.name):
            asset = _asset(file.name, file.read_bytes())
            self.assets[asset.name] = asset
            self._names[file.name] = f"/static/{asset.name}"
        self._environment = environment = jinja2.Environment(
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
            auto_reload=False,
        )
        # Read now, since an upgrade may put others in their place; compiled when they are first shown, which takes some
        # milliseconds for each: all together were most of what a worker does before it can take a dead one's place.
        package = jinja2.PackageLoader(_PACKAGE)
        sources = {name: package.get_source(environment, name)[0] for name in package.list_templates()}
        environment.loader = jinja2.DictLoader(sources)
        environment.globals.update(static=self._names.__getitem__, version=__version__)
        environment.filters.update(
            brief=rows.brief,
            calendar=rows.calendar,
            clock_time=rows.clock_time,
            duration=rows.duration,
            segment=lambda text: quote(str(text), safe=""),
            service=rows.service,
            size=rows.size,
            stamp=stamp,
        )

    def page(self, template: str, values: Mapping[str, Any], status: int = 200, headers: Headers = []) -> Answer:  # noqa: B006 - never changed
        """Return a page.

        Args:
            template: Its name, without ``.html``.
            values: What it shows; every text among them is escaped.
            status: Of the answer.
            headers: Further header fields.
        """
        text = self._environment.get_template(f"{template}.html").render(values)
        return Answer(status, [*HTML, *headers], text.encode("utf-8", "replace"))


def _asset(name: str, body: bytes) -> Asset:
    digest = hashlib.sha256(body).hexdigest()[:16]
    stem, _, suffix = name.rpartition(".")
    return Asset(f"{stem}.{digest}.{suffix}", _TYPES[suffix], b'"%b"' % digest.encode(), body)
