"""Room raw SQL: named queries, rollups, partitions, retention. Imports neither models nor web."""
