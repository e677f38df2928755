-- 81: the options of migrations and jobs. A migration's hold for all its jobs, but for those that a job has of its own.

INSERT INTO conveyor.option_definition (object, kind, name, type, default_value, minimum, maximum, required, description, choices) VALUES
('job', NULL, 'batch_size', 'integer', '1000', '1', '10000000', false,
 'Rows of the first batch, where max_batch_size allows; the following ones are sized by target_duration.', NULL),
('job', NULL, 'min_batch_size', 'integer', '10', '1', '10000000', false,
 'No batch is made smaller than this because it takes long. One that fails is divided further, down to the row.', NULL),
('job', NULL, 'max_batch_size', 'integer', '1000000', '1', '10000000', false,
 'No batch is made larger than this.', NULL),
('job', NULL, 'target_duration', 'interval', '"1 s"', '10 ms', '10 min', false,
 'How long a batch should take: sizes grow and shrink towards it. It is what a crash costs, and how long row locks are held.', NULL),
('job', NULL, 'on_error', 'text', '"dead_letter"', NULL, NULL, false,
 'What becomes of a row for which the statement fails: it is kept as a dead row and the job goes on, or the job stops.', '{dead_letter,stop}'),
('job', NULL, 'max_attempts', 'integer', '10', '1', '1000', false,
 'A single row that fails for reasons that might pass (deadlock, lock or statement timeout, serialization) is given up after so many attempts.', NULL),
('job', NULL, 'dead_row_limit', 'integer', '1000', '0', '10000000', false,
 'With more dead rows than this the job stops: many at once mean a broken statement, not broken rows.', NULL),
('job', NULL, 'retry_delay', 'interval', '"100 ms"', '1 ms', '1 min', false,
 'First wait after a failure; the following ones grow as the Fibonacci numbers do.', NULL),
('job', NULL, 'max_retry_delay', 'interval', '"1 min"', '100 ms', '1 h', false,
 'Longest wait between two attempts.', NULL),
('job', NULL, 'statement_timeout', 'interval', '"1 min"', '100 ms', '1 d', false,
 'How long a batch may take before it is cancelled and tried in smaller pieces.', NULL),
('job', NULL, 'lock_timeout', 'interval', '"2 s"', '1 ms', '1 h', false,
 'How long a batch may wait for a lock before it is given up and tried again later.', NULL),
('job', NULL, 'rate', 'integer', '0', '0', '100000000', false,
 'Rows of the source per second at most, over all workers of the job together; 0: as fast as it goes.', NULL),
('job', NULL, 'run_windows', 'text_array', '[]', NULL, NULL, false,
 'When batches may begin: "22:00-06:00 Europe/Berlin", "Sat,Sun 00:00-24:00 UTC", "Mon-Fri 22:00-06:00 Europe/Berlin". Days are those on which a window opens. Empty: always.', NULL),
('job', NULL, 'throttles', 'object', '{}', NULL, NULL, false,
 'Limits of the throttles, each a value or false: {"replication_lag": "1 min", "dead_rows": false}. The table conveyor.throttle_kind lists them with their defaults.', NULL),
('job', NULL, 'throttle_query', 'text', NULL, NULL, NULL, false,
 'A query of your own, run as the migration''s owner before a batch begins, at most once a second: it returns NULL (or no row) to go on, or a text that says why to wait.', NULL),
('job', NULL, 'setup', 'text', NULL, NULL, NULL, false,
 'SQL that each session of the job runs once before its first batch, for temporary tables and the like.', NULL),
('job', NULL, 'examine', 'text', '"warn"', NULL, NULL, false,
 'What happens when the plan of a batch is one whose time grows faster than its rows: nothing is looked at, a warning, or the job stops before its first batch.', '{off,warn,stop}'),
('job', NULL, 'examine_every', 'integer', '20', '1', '100000', false,
 'One batch in so many is measured node by node, so that a warning can name the plan node at fault.', NULL);

INSERT INTO conveyor.option_definition (object, kind, name, type, default_value, minimum, maximum, required, description, choices)
SELECT 'migration', d.kind, d.name, d.type, d.default_value, d.minimum, d.maximum, d.required, d.description, d.choices
  FROM conveyor.option_definition d WHERE d.object = 'job';

INSERT INTO conveyor.option_definition (object, kind, name, type, default_value, minimum, maximum, required, description) VALUES
('migration', NULL, 'description', 'text', NULL, NULL, NULL, false,
 'What the migration is for, for whoever reads the definition.'),
('job', NULL, 'where', 'text', NULL, NULL, NULL, false,
 'A condition on the source''s columns: other rows are not part of any batch.'),
('job', NULL, 'delete_statement', 'text', NULL, NULL, NULL, false,
 'With follow: what is done for rows that are gone from the source; it reads the relation gone, which has the key columns.');

-- All options of a job as they apply, in plain units (option_plain()): its own, else its migration's, else the defaults. The
-- throttles of both are laid over each other one by one.
CREATE FUNCTION conveyor.job_options(job int) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT jsonb_object_agg(d.name, CASE WHEN d.type IN ('interval', 'bytes') THEN conveyor.option_plain(d.type, v.value) ELSE v.value END)
                   || jsonb_build_object('throttles', coalesce(m.options -> 'throttles', '{}') || coalesce(j.options -> 'throttles', '{}'))
              FROM conveyor.job_definition j
              JOIN conveyor.migration_definition m USING (migration)
              JOIN conveyor.option_definition d ON d.object = 'job'
             CROSS JOIN LATERAL (SELECT coalesce(j.options -> d.name, m.options -> d.name, d.default_value)) AS v(value)
             WHERE j.id = job_options.job AND v.value IS NOT NULL
             GROUP BY m.options, j.options);
END
$$;

-- One of them.
CREATE FUNCTION conveyor.job_option(job int, name text) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT conveyor.option_plain(d.type, coalesce(j.options -> d.name, m.options -> d.name, d.default_value)) #>> '{}'
              FROM conveyor.job_definition j
              JOIN conveyor.migration_definition m USING (migration)
              JOIN conveyor.option_definition d ON d.object = 'job' AND d.name = job_option.name
             WHERE j.id = job_option.job);
END
$$;

-- What the options of one row cannot say by themselves. `object` is migration or job; `inherited` what holds where they say nothing.
CREATE FUNCTION conveyor.check_migration_options(object text, options jsonb, inherited jsonb DEFAULT '{}') RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    effective jsonb;
BEGIN
    options := conveyor.check_options(object, NULL, options);
    effective := conveyor.option_defaults('job', NULL) || inherited || options;
    IF (effective ->> 'min_batch_size')::numeric > (effective ->> 'max_batch_size')::numeric THEN
        RAISE EXCEPTION 'option "min_batch_size" is larger than "max_batch_size": % and %', effective ->> 'min_batch_size', effective ->> 'max_batch_size'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give both.';
    END IF;
    PERFORM conveyor.check_run_windows(ARRAY(SELECT jsonb_array_elements_text(coalesce(options -> 'run_windows', '[]'))));
    PERFORM conveyor.check_throttles(coalesce(options -> 'throttles', '{}'));
    RETURN options;
END
$$;
