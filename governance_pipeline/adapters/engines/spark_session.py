"""The Spark session that dbt shares with us: opened before dbt asks for one, stopped after."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from governance_pipeline.errors import EngineError
from governance_pipeline.paths import Paths

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ALWAYS = {
    "spark.sql.session.timeZone": "UTC",
    # A day's partition is replaced, the others stay.
    "spark.sql.sources.partitionOverwriteMode": "dynamic",
}
HERE = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    # Thousands of small files on a local disk are listed faster one by one than by as many tasks.
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "100000",
    "spark.sql.files.openCostInBytes": "262144",
}
"""What holds where driver and executors are this machine; a cluster has its own defaults."""


@contextmanager
def session(paths: Paths, threads: int, master: str, memory: str) -> Iterator["SparkSession"]:
    """Open a session in this process, or on the server that SPARK_REMOTE names, and stop it.

    Everything else is Spark's own configuration: `spark-defaults.conf` in SPARK_CONF_DIR.

    Raises:
        EngineError: If pyspark or Java is missing.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise EngineError(
            "the engine spark needs the optional dependencies of the extra `spark`;"
            " install them, or unset GOVERNANCE_ENGINE"
        ) from None
    builder = SparkSession.builder.appName("governance")
    for key, value in _configuration(paths, threads, master, memory).items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    try:
        for key, value in ALWAYS.items():
            spark.conf.set(key, value)
        yield spark
    finally:
        spark.stop()


def _configuration(paths: Paths, threads: int, master: str, memory: str) -> dict[str, str]:
    """Return what must be said before the session starts; a server was told its own."""
    if os.environ.get("SPARK_REMOTE"):
        return {}
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        raise EngineError("the engine spark needs Java 17, and there is none; install it first")
    here = master or f"local[{threads}]"
    return {
        "spark.master": here,
        "spark.driver.memory": memory,
        # Names live as long as the session; the folders are what is kept.
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.warehouse.dir": str(paths.spark / "unused"),
        "spark.local.dir": str(paths.spark / "scratch"),
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        **(
            HERE | {"spark.sql.shuffle.partitions": str(2 * threads)}
            if here.startswith("local")
            else {}
        ),
    }
