-- 89: the guard against statements whose cost grows faster than their batches (extension/examine).

-- Parameters: a statement such as a batch would run, `SELECT reprice(1, 10000)`; how many rows such a batch has; the table
-- that they come from, NULL: not known. Returns: `expected`, what the plan lets fear before it runs, and `observed`, what its
-- nodes and those of the statements inside functions have done; NULL where there is nothing to tell.
CREATE FUNCTION conveyor.examine_statement(statement text, batch_rows bigint, source regclass DEFAULT NULL,
    OUT expected text, OUT observed text) RETURNS record
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'conveyor_examine_statement';
COMMENT ON FUNCTION conveyor.examine_statement(text, bigint, regclass) IS
    'run a statement as one batch of so many rows, with the caller''s rights, and tell whether its time per row would grow; it takes nothing back: BEGIN and ROLLBACK do';
