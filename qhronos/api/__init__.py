"""The HTTP API: litestar at the door, msgspec Structs at the boundary, one file per resource."""
