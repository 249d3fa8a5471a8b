"""The gallery's saw from table to test error: Keras beside statecast, by the tutorial's recipe and by its own.

The tutorial: an LSTM of 300 units over windows of 100 rows, a dense layer on its last output, rmsprop, batches of 450,
ten epochs. `--epochs` trains the tutorial's networks for fewer; the time of the training is then scaled to ten, which
the table says, and their errors are those after the epochs that were run. Every run has a process of its own, in turn.

    peers/bin/python benchmarks/saw.py --epochs 1
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

import numpy as np

RUNS = ("keras", "tutorial", "statecast")
EPOCHS, WINDOW, UNITS, BATCH = 10, 100, 300, 450


def keras_run(epochs: int) -> tuple[float, float, float]:
    """Seconds beside the training, seconds of the training, test RMSE."""
    import keras
    import tensorflow as tf

    from statecast.gallery import series

    tf.config.threading.set_intra_op_parallelism_threads(len(os.sched_getaffinity(0)))
    began = time.perf_counter()
    table = np.column_stack([*series.make("saw", None).values()]).astype(np.float32)
    cut = len(table) * 9 // 10
    windows = np.lib.stride_tricks.sliding_window_view(table, WINDOW, axis=0)[:-1].swapaxes(1, 2)
    x, y = np.ascontiguousarray(windows), table[WINDOW:]
    count = cut - WINDOW
    layers = [keras.layers.Input((WINDOW, 2)), keras.layers.LSTM(UNITS), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    model.compile(optimizer=keras.optimizers.RMSprop(0.001), loss="mse")
    start = time.perf_counter()
    model.fit(x[:count], y[:count], batch_size=BATCH, epochs=epochs, validation_split=0.05, verbose=0)
    trained = time.perf_counter() - start
    error = model.predict(x[count:], batch_size=BATCH, verbose=0) - y[count:]
    return time.perf_counter() - began - trained, trained, float(np.sqrt(np.mean(error**2)))


def statecast_run(recipe: str, epochs: int) -> tuple[float, float, float]:
    """The same of the gallery's run; a recipe of statecast's own has no epochs to scale."""
    from dataclasses import replace

    from statecast.gallery import cases, forecasting
    from statecast.train.fit import awake

    awake()
    case = cases.load("saw")
    # Nothing is shown, so nothing is trained once more to be shown.
    case = replace(case, tutorial={**case.tutorial, "max_epochs": epochs}, show=())
    began = time.perf_counter()
    result = forecasting.run(case, recipe)
    spent = time.perf_counter() - began
    error = float(np.sqrt(np.mean([row.value**2 for row in result.rows if row.recipe == recipe])))
    trained = float(result.history["seconds"][-1]) if recipe == "tutorial" else 0.0
    return spent - trained, trained, error


def work(run: str, epochs: int) -> None:
    beside, trained, error = keras_run(epochs) if run == "keras" else statecast_run(run, epochs)
    print(json.dumps([beside, trained, error]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--run", choices=RUNS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        work(options.run, options.epochs)
        return
    print(
        f"| run | seconds{'' if options.epochs == EPOCHS else f', {options.epochs} epochs scaled to {EPOCHS}'} | ",
        end="",
    )
    print("test RMSE | Keras / this |\n|---|--:|--:|--:|")
    keras = 0.0
    for run in RUNS:
        command = [sys.executable, __file__, "--run", run, "--epochs", str(options.epochs)]
        quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"}
        done = subprocess.run(command, env=quiet, stdout=subprocess.PIPE, text=True, check=True)
        beside, trained, error = json.loads(done.stdout.splitlines()[-1])
        seconds = beside + trained * EPOCHS / options.epochs
        keras = keras or seconds
        print(f"| {run} | {seconds:.1f} | {error:.3g} | {keras / seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
