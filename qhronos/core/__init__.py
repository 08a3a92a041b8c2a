"""The pure core: decisions as functions of their arguments. No async, no I/O, no clock."""
