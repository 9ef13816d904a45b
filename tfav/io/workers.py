"""Where units of work are done: processes of this machine, or a cluster."""

import dataclasses
from typing import Literal, get_args

from tfav.errors import UsageError
from tfav.ranges import check_fields, ranged

Backend = Literal["loky", "dask", "ray"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workers:
    """Who does the work; the flags of every `tfav prepare`, and keyword arguments of what they start.

    Example:
        >>> Workers(workers=4, quiet=True).backend
        'loky'
    """

    workers: int | None = ranged(None, ge=0)
    """Number of processes. Default: one per core. 0 works in this process, for debugging."""
    backend: Backend = "loky"
    """loky runs processes on this machine; dask and ray use a cluster that sees the same files."""
    address: str | None = None
    """Address of the cluster, such as tcp://host:8786 for dask."""
    quiet: bool = False
    """Show no progress bar."""

    def check(self) -> None:
        """Refuses what can be refused without a look at the cluster.

        Raises:
            UsageError: An unknown backend, a negative number, or an address that goes with no cluster.
        """
        if self.backend not in get_args(Backend):
            valid = ", ".join(get_args(Backend))
            raise UsageError(f"There is no such backend; choose one of {valid}. Received: backend={self.backend}")
        check_fields(self)
        if self.address and self.backend == "loky":
            raise UsageError(f"an address needs backend=dask or backend=ray. Received: address={self.address}")
