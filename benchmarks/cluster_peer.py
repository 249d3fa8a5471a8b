"""statsforecast through its own distributed face, on the tables of `cluster.py`; run by an environment that has it.

    python benchmarks/cluster_peer.py TABLES MODEL --workers 2 --windows 5 --horizon 24 --season 24

MODEL is one of `statsforecast.models` that takes a season. Rows go through Ray Datasets and fugue, as its documentation
shows. It prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables")
    parser.add_argument("model")
    for name in ("workers", "windows", "horizon", "season"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    begin = time.perf_counter()
    import ray
    from statsforecast import StatsForecast, models

    ray.init(num_cpus=options.workers, include_dashboard=False, log_to_driver=False)
    start_s = time.perf_counter() - begin
    frame = ray.data.read_parquet(options.tables)
    job = StatsForecast(models=[getattr(models, options.model)(season_length=options.season)], freq="h")
    begin = time.perf_counter()
    result = job.cross_validation(df=frame, h=options.horizon, n_windows=options.windows, step_size=options.horizon)
    rows = result.count()
    numbers = {"start_s": start_s, "seconds": time.perf_counter() - begin, "rows": rows}
    packages = {name: version(name) for name in ("statsforecast", "fugue", "ray", "pandas")}
    print(json.dumps({**numbers, "packages": packages}))


if __name__ == "__main__":
    main()
