"""Ask an HTTP API once for every SKU, from Python.

`fetch` runs the `skufetch` command and gives its answers; `rows` gives what became of each row as soon as it is known;
`read` iterates a file that it wrote. `spark`, `ray` and `dask` have a `fetch` for frames of these engines.

    import skufetch

    for sku, product in skufetch.fetch("products.csv", url="https://api.example.com/products/{sku}"):
        print(sku, product["name"])

docs/python.md describes both.
"""

from . import dask, ray, spark
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
from ._stream import Row, rows

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
    "Row",
    "Run",
    "SkufetchError",
    "Stopped",
    "SystemTrouble",
    "TryLater",
    "Unavailable",
    "UsageError",
    "dask",
    "fetch",
    "find_binary",
    "ray",
    "read",
    "rows",
    "spark",
]
