"""The calls on Apache Spark: its DataFrames, its workers, and its streams."""

from statecast.errors import MissingDependency

try:
    from statecast.cluster.spark.stream import stream as stream
except ModuleNotFoundError as error:
    raise MissingDependency.of((error.name or "pyspark").partition(".")[0], "spark", "work on Spark") from error
