"""Ask an HTTP API once for every SKU, from Python.

`fetch` runs the `skufetch` command and gives its answers; `read` iterates a file that it wrote.

    import skufetch

    for sku, product in skufetch.fetch("products.csv", url="https://api.example.com/products/{sku}"):
        print(sku, product["name"])

docs/python.md describes both.
"""

from ._binary import find_binary
from ._errors import (
    BinaryNotFound,
    CannotWrite,
    ConfigError,
    CredentialsRefused,
    FailedKeys,
    Failure,
    HeldBack,
    InputError,
    InputMissing,
    SkufetchError,
    Stopped,
    SystemTrouble,
    TryLater,
    Unavailable,
    UsageError,
)
from ._read import read
from ._run import Run, fetch

__all__ = [
    "BinaryNotFound",
    "CannotWrite",
    "ConfigError",
    "CredentialsRefused",
    "FailedKeys",
    "Failure",
    "HeldBack",
    "InputError",
    "InputMissing",
    "Run",
    "SkufetchError",
    "Stopped",
    "SystemTrouble",
    "TryLater",
    "Unavailable",
    "UsageError",
    "fetch",
    "find_binary",
    "read",
]
