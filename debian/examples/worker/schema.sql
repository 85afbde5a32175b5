-- A row for each host. To forget one: DELETE FROM hosts WHERE host = 'NAME';
CREATE TABLE hosts (
    host TEXT PRIMARY KEY,
    seen_ms INTEGER NOT NULL,   -- the last heartbeat written down; the last one came up to SILENT_AFTER_SECONDS / 3 later
    silent_since_ms INTEGER     -- while the alarm is raised: the last heartbeat before it
) WITHOUT ROWID;
