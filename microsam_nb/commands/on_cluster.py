"""Options and progress of commands that can run on a cluster."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import SettingsError

if TYPE_CHECKING:
    from ..annotators.cluster import Plan, Source
    from ..engine.models import Model


def add_cluster(parser: Any) -> None:
    """Add the options."""
    group = parser.add_argument_group("on a cluster (needs: pip install 'microsam-nb[cluster]')")
    group.add_argument("--scheduler", metavar="ADDRESS", help="compute on the workers of this scheduler of dask")
    group.add_argument("--workers", type=int, metavar="N", help="compute in N processes of this computer")
    group.add_argument(
        "--threads", type=int, metavar="N",
        help="threads of each worker (default: the cores of this computer divided among local workers, else what the "
        "worker was started with); the same number gives the same bytes",
    )  # fmt: skip


def wants_cluster(options: argparse.Namespace) -> bool:
    """Whether a cluster is to compute. Raises SettingsError for options that need one."""
    wanted = options.scheduler is not None or options.workers is not None
    if options.threads is not None and not wanted:
        raise SettingsError("There are --threads without workers.", "Give --workers or --scheduler as well.")
    return wanted


def source_of(model: Model, options: argparse.Namespace) -> Source:
    """Describe the model to the workers."""
    from ..annotators.cluster import Source

    return Source.of(model, options.model, options.device, options.precision)


def on_cluster(
    options: argparse.Namespace, plans: Iterable[tuple[Path, Plan[Any]]], unit: str
) -> Iterator[tuple[Path, Any]]:
    """Carry out plans, and yield each path with its result or a ``Failure``; a bar shows how far it is."""
    from tqdm import tqdm

    from ..annotators.cluster import connect, run_plans
    from ..session.wording import counted

    with (
        connect(options.scheduler, options.workers, options.threads) as cluster,
        tqdm(unit=unit, disable=True if options.quiet else None) as bar,
    ):
        said = options.quiet

        def told(done: int, total: int, workers: int) -> None:
            nonlocal said
            if not workers and not said:
                said = True
                print(f"microsam-nb: waiting for workers of {options.scheduler} ...", file=sys.stderr)  # noqa: T201
            bar.total = total
            bar.set_description(counted(workers, "worker"), refresh=False)
            bar.update(done - bar.n)

        yield from run_plans(cluster, plans, told)
