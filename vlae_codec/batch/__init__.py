"""Many files: planned, coded in this process, in several or on a Ray cluster, and what became of each.

    plan.py      names and folders -> which file becomes which
    order.py     what is done with each file, and its outcome; a failure is an outcome too
    local.py     processes on this machine
    cluster.py   actors on a Ray cluster; the only importer of ray

Outputs are written whole or not at all, so that a batch that was killed goes on where it stopped when it is given again
with Existing.SKIP. Importing this imports neither torch nor ray.
"""

from collections.abc import Generator, Sequence

from vlae_codec import files
from vlae_codec.batch.local import cores
from vlae_codec.batch.order import Existing, Order, Outcome, done, foresee, perform
from vlae_codec.batch.plan import Plan, plan
from vlae_codec.errors import UsageError
from vlae_codec.files import Job

__all__ = ["Existing", "Order", "Outcome", "Plan", "cores", "done", "foresee", "outcomes", "perform", "plan"]


def outcomes(
    order: Order, jobs: Sequence[Job], processes: int | None = None, ray: str | None = None
) -> Generator[Outcome, None, None]:
    """What becomes of each job, as soon as it is known; close it to end all workers.

    Args:
        processes: None works in this process, with all of torch's threads; else each process has one thread, and 0
            means one process per core. With `ray` it is the most actors to be used; None or 0 means one per core.
        ray: address of a running Ray cluster, or "auto".
    Raises:
        UsageError: stdin or stdout is one of the files, but another process would have to read or write it.
    """
    if processes is None and ray is None:
        return (perform(order, job) for job in jobs)
    if any(files.STREAM in job for job in jobs):
        raise UsageError("- is stdin or stdout, which several processes cannot share; a file name wanted")
    if ray is None:
        from vlae_codec.batch.local import outcomes as in_processes

        return in_processes(order, jobs, processes or cores())
    from vlae_codec.batch.cluster import outcomes as on_cluster

    return on_cluster(order, jobs, ray, processes or None)
