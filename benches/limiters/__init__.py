"""Rate limiters of many kinds, each before a tiny API, on loopback. Nothing but Python's standard library."""
