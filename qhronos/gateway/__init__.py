"""Service: sockets. Clients are sent what waits for them by name, listeners hear what is due by tags.

A gateway keeps nothing that another could not take up: what waits is in Postgres, and what is due comes over Redis. The frames
are in docs/reference/websocket.md.
"""
