-- What the agent reads: keys of a window, documents, keys of a range. All stream; see docs/internals.md, sections 1 and 4.

-- Parameters: delivery. Returns: frames h k… s… e. Reads: the change log from the delivery's cursor to a new snapshot.
CREATE FUNCTION conveyor.window_keys(delivery text) RETURNS SETOF bytea
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'conveyor_window_keys';
COMMENT ON FUNCTION conveyor.window_keys(text) IS
  'keys of the documents that changes behind the delivery''s cursor touch, as frames';

-- Parameters: delivery; keys; a snapshot that must be contained in the one that is read in. Returns: frames h (d|m|x)… e.
CREATE FUNCTION conveyor.fetch_keys(delivery text, keys text[], at_least pg_catalog.pg_snapshot) RETURNS SETOF bytea
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'conveyor_fetch_keys';
COMMENT ON FUNCTION conveyor.fetch_keys(text, text[], pg_catalog.pg_snapshot) IS
  'documents of the given keys, and which of the keys the view does not have, as frames';

-- Parameters: delivery; first (exclusive) and last (inclusive) key, NULL: unbounded; a snapshot to contain.
-- Returns: frames h (d|x)… e.
CREATE FUNCTION conveyor.fetch_range(delivery text, first text[], last text[], at_least pg_catalog.pg_snapshot)
RETURNS SETOF bytea
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'conveyor_fetch_range';
COMMENT ON FUNCTION conveyor.fetch_range(text, text[], text[], pg_catalog.pg_snapshot) IS
  'documents with first < key <= last, as frames';

-- The same as fetch_range(), with the hash of each document instead of the document. Returns: frames h (c|x)… e.
CREATE FUNCTION conveyor.range_contents(delivery text, first text[], last text[], at_least pg_catalog.pg_snapshot)
RETURNS SETOF bytea
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'conveyor_range_contents';
COMMENT ON FUNCTION conveyor.range_contents(text, text[], text[], pg_catalog.pg_snapshot) IS
  'hashes of the documents with first < key <= last, as frames';

CREATE FUNCTION conveyor.range_keys(delivery text, first text[], last text[], at_least pg_catalog.pg_snapshot)
RETURNS SETOF bytea
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'conveyor_range_keys';
COMMENT ON FUNCTION conveyor.range_keys(text, text[], text[], pg_catalog.pg_snapshot) IS
  'keys with first < key <= last, as frames';

CREATE FUNCTION conveyor.absent_keys(delivery text, keys text[], at_least pg_catalog.pg_snapshot) RETURNS SETOF bytea
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'conveyor_absent_keys';
COMMENT ON FUNCTION conveyor.absent_keys(text, text[], pg_catalog.pg_snapshot) IS
  'those of the given keys that the view does not have, as frames';

-- Parameters: delivery; a key of the root (NULL: its beginning); rows to step over.
-- Returns: the key so many rows further; NULL when fewer are left or the feed has no root.
CREATE FUNCTION conveyor.range_end(delivery text, after text[], documents int) RETURNS text[]
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'conveyor_range_end';
COMMENT ON FUNCTION conveyor.range_end(text, text[], int) IS 'where a range of so many rows of the root ends';

-- Parameters: a frame. Returns: its records, for people and tests.
CREATE FUNCTION conveyor.frame_records(frame bytea,
  OUT kind text, OUT key text, OUT body text, OUT type text, OUT number bigint) RETURNS SETOF record
LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'conveyor_frame_records';
COMMENT ON FUNCTION conveyor.frame_records(bytea) IS
  'records of a frame: body is a document, a reason or a snapshot, number a version or a count of records';

REVOKE ALL ON FUNCTION conveyor.window_keys(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION conveyor.fetch_keys(text, text[], pg_catalog.pg_snapshot) FROM PUBLIC;
REVOKE ALL ON FUNCTION conveyor.fetch_range(text, text[], text[], pg_catalog.pg_snapshot) FROM PUBLIC;
REVOKE ALL ON FUNCTION conveyor.range_contents(text, text[], text[], pg_catalog.pg_snapshot) FROM PUBLIC;
REVOKE ALL ON FUNCTION conveyor.range_keys(text, text[], text[], pg_catalog.pg_snapshot) FROM PUBLIC;
REVOKE ALL ON FUNCTION conveyor.absent_keys(text, text[], pg_catalog.pg_snapshot) FROM PUBLIC;
REVOKE ALL ON FUNCTION conveyor.range_end(text, text[], int) FROM PUBLIC;
