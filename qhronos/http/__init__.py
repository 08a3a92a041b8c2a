"""The outbound HTTP engine and its guard: the only way in which Qhronos talks to endpoints.

`url`, `guard` and `headers` are pure and decide what may be sent and where; `reader` turns bytes into a response; the
rest opens, keeps and shares connections.
"""

from qhronos.http.client import Client
from qhronos.http.guard import Egress
from qhronos.http.limits import Limits
from qhronos.http.message import Busy, Request, Response, Withdrawn
from qhronos.http.proxy import Proxy
from qhronos.http.tls import Tls

__all__ = ["Busy", "Client", "Egress", "Limits", "Proxy", "Request", "Response", "Tls", "Withdrawn"]
