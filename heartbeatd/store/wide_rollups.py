"""The roll-ups as 0.1 had them, a table for the hours and one for the days: a part of released steps, and frozen with them.

They live on as views of these names and columns over the one table that took their place.
"""

import sqlite3

# What had figures of its own; what was counted; where an hour or a day began.
_MEASURES = ("cpu_percent", "ram_percent", "disk_percent", "container_count", "ping_ms")
_COUNTED = ("worker_ok", "internet_ok")
_STARTS = {
    "history_hour": "substr(timestamp_lima, 1, 13) || ':00:00-05:00'",
    "history_day": "substr(timestamp_lima, 1, 10) || 'T00:00:00-05:00'",
}
_WORKER_OK = "coalesce(worker_status BETWEEN 200 AND 299 AND worker_status NOT IN (220, 221), 0)"


def create_tables(connection: sqlite3.Connection) -> None:
    """Make them, and fill them from the rows there are. For a year of rows that takes some ten seconds, once."""
    columns = ", ".join(f"{m}_min REAL, {m}_mean REAL, {m}_max REAL, {m}_count INTEGER NOT NULL" for m in _MEASURES)
    figures = ", ".join(f"min({m}), avg({m}), max({m}), count({m})" for m in _MEASURES)
    for table, start in _STARTS.items():
        connection.execute(
            f"CREATE TABLE {table} (start TEXT PRIMARY KEY, cycles INTEGER NOT NULL, worker_ok INTEGER NOT NULL,"
            f" internet_ok INTEGER NOT NULL, {columns}) WITHOUT ROWID"
        )
        connection.execute(
            f"INSERT INTO {table} SELECT {start} AS start, count(*), sum({_WORKER_OK}), sum(coalesce(internet_ok, 0)),"
            f" {figures} FROM metrics WHERE timestamp_lima IS NOT NULL GROUP BY start"
        )


def move(connection: sqlite3.Connection, table: str, period: str) -> None:
    """Each figure of the table into a row of `rollups`. What was counted had been looked at in every cycle."""
    figures = [
        f"SELECT start, '{m}' AS metric, {m}_min AS min, {m}_mean AS mean, {m}_max AS max, {m}_count AS count"
        f" FROM {table} WHERE {m}_count > 0"
        for m in _MEASURES
    ]
    figures += [
        f"SELECT start, '{name}', {name} = cycles, 1.0 * {name} / cycles, {name} > 0, cycles FROM {table}"
        for name in _COUNTED
    ]
    connection.execute(
        f"INSERT INTO rollups SELECT '{period}', start, metric, '', min, mean, max, count"
        f" FROM ({' UNION ALL '.join(figures)}) ORDER BY start, metric"
    )
    connection.execute(f"DROP TABLE {table}")


def create_view(connection: sqlite3.Connection, view: str, period: str) -> None:
    """Of the table's name and columns, over `rollups`."""

    def of(metric: str, value: str) -> str:
        return f"max({value}) FILTER (WHERE metric = '{metric}')"

    columns = ["start", f"coalesce({of('worker_ok', 'count')}, 0) AS cycles"]
    columns += [f"CAST(round(coalesce({of(m, 'mean * count')}, 0)) AS INTEGER) AS {m}" for m in _COUNTED]
    for m in _MEASURES:
        columns += [f"{of(m, part)} AS {m}_{part}" for part in ("min", "mean", "max")]
        columns.append(f"coalesce({of(m, 'count')}, 0) AS {m}_count")
    connection.execute(
        f"CREATE VIEW IF NOT EXISTS {view} AS SELECT {', '.join(columns)} FROM rollups"
        f" WHERE period = '{period}' AND label = '' GROUP BY start"
    )
