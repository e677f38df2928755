-- Versions and the order of snapshots (docs/design.md, "Versions").

-- Parameters: the database's epoch. Returns: a lower bound of the version of whatever is read from now on.
CREATE FUNCTION conveyor.snapshot_version(epoch int) RETURNS bigint
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'conveyor_snapshot_version';
COMMENT ON FUNCTION conveyor.snapshot_version(int) IS
  'version of a fresh snapshot: transactions that have ended, below the epoch';

CREATE FUNCTION conveyor.snapshot_contains(later pg_catalog.pg_snapshot, earlier pg_catalog.pg_snapshot) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'conveyor_snapshot_contains';
COMMENT ON FUNCTION conveyor.snapshot_contains(pg_catalog.pg_snapshot, pg_catalog.pg_snapshot) IS
  'has every transaction that had ended in the earlier snapshot ended in the later one?';

REVOKE ALL ON FUNCTION conveyor.snapshot_version(int) FROM PUBLIC;
REVOKE ALL ON FUNCTION conveyor.snapshot_contains(pg_catalog.pg_snapshot, pg_catalog.pg_snapshot) FROM PUBLIC;
