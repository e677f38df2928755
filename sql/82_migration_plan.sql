-- 82: plans: migrations and their jobs. What is the caller's to judge (statements, conditions) is analysed with the caller's
-- rights; only the rows are written with ours.

CREATE FUNCTION conveyor.find_migration(migration text) RETURNS conveyor.migration_definition
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.migration_definition;
BEGIN
    SELECT m.* INTO definition FROM conveyor.migration_definition m WHERE m.migration = find_migration.migration;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'migration "%" does not exist', migration
            USING ERRCODE = 'undefined_object',
                  HINT = 'SELECT migration FROM conveyor.migration_status lists the migrations; conveyor.create_migration() makes one.';
    END IF;
    RETURN definition;
END
$$;

CREATE FUNCTION conveyor.find_job(migration text, job text) RETURNS conveyor.job_definition
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.job_definition;
BEGIN
    PERFORM conveyor.find_migration(migration);
    SELECT j.* INTO definition FROM conveyor.job_definition j WHERE j.migration = find_job.migration AND j.job = find_job.job;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'migration "%" has no job "%"', migration, job
            USING ERRCODE = 'undefined_object',
                  HINT = format('SELECT job FROM conveyor.job_status WHERE migration = %L lists its jobs; conveyor.add_job() adds one.', migration);
    END IF;
    RETURN definition;
END
$$;

CREATE FUNCTION conveyor.find_job(job int) RETURNS conveyor.job_definition
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.job_definition;
BEGIN
    SELECT j.* INTO definition FROM conveyor.job_definition j WHERE j.id = find_job.job;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no job %', job
            USING ERRCODE = 'undefined_object', HINT = 'Its migration was dropped: SELECT * FROM conveyor.journal tells by whom.';
    END IF;
    RETURN definition;
END
$$;

-- May the caller act for this job's migration? What runners call begins with it.
CREATE FUNCTION conveyor.check_job_owner(job int) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.job_definition := conveyor.find_job(job);
BEGIN
    PERFORM conveyor.check_owner((conveyor.find_migration(definition.migration)).owner, 'migration', definition.migration);
END
$$;

-- State for definitions that have none: new ones, or those that a dump brought here, which begin anew.
CREATE FUNCTION conveyor.put_migration_state(migration text) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO conveyor.migration_state (migration) VALUES (put_migration_state.migration) ON CONFLICT DO NOTHING;
    INSERT INTO conveyor.job_state (id, batch_size)
    SELECT j.id, least(conveyor.job_option(j.id, 'batch_size')::int, conveyor.job_option(j.id, 'max_batch_size')::int) FROM conveyor.job_definition j WHERE j.migration = put_migration_state.migration
    ON CONFLICT DO NOTHING;
END;

-- create_migration
--   options  those of all its jobs, see option_definition; a job's own come first
-- Tables touched: migration_definition, migration_state, journal_entry.
CREATE FUNCTION conveyor.create_migration(migration text, options jsonb DEFAULT '{}') RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present conveyor.migration_definition;
BEGIN
    PERFORM conveyor.check_name('migration', migration);
    options := conveyor.check_migration_options('migration', options);
    INSERT INTO conveyor.migration_definition (migration, options, owner)
    VALUES (migration, options, conveyor.caller()::regrole)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM conveyor.put_migration_state(migration);
        PERFORM conveyor.write_journal('create migration', migration, nullif(options::text, '{}'));
        RETURN;
    END IF;
    present := conveyor.find_migration(migration);
    PERFORM conveyor.check_owner(present.owner, 'migration', migration);
    PERFORM conveyor.check_same('migration', migration,
        jsonb_build_object('options', present.options), jsonb_build_object('options', options),
        format('Run SELECT conveyor.alter_migration(%L, …) to change its options, or choose another name.', migration));
END
$$;
COMMENT ON FUNCTION conveyor.create_migration(text, jsonb) IS 'a plan of jobs, to be added by add_job(); the same definition again does nothing';

-- analyse_job
--   key          the source's columns that ranges are made of; NULL: its primary key. A unique btree index must be over just these, all NOT NULL
--   options      those of the job: where, setup and delete_statement are looked at
--   search_path  that batches will run with
-- Returns the key with its types, and the tables that the statement writes to. Whatever a job must not be is an error. Runs with the
-- caller's rights, and asks for all that the statement needs.
CREATE FUNCTION conveyor.analyse_job(source regclass, statement text, call regprocedure, key text[], options jsonb DEFAULT '{}', search_path text DEFAULT NULL,
                                     OUT key_found text[], OUT key_types oid[], OUT targets oid[])
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'conveyor_analyse_job';

-- What batches are made by: when it is no longer what it was, those that have run and those to come would be of different kinds.
CREATE FUNCTION conveyor.job_fingerprint(job int) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT encode(sha256(convert_to(jsonb_build_array(
               j.source::oid, j.statement,
               (SELECT jsonb_build_array(p.oid, p.prosrc, p.probin, p.prosqlbody IS NOT NULL, p.proconfig) FROM pg_proc p WHERE p.oid = j.call),
               j.key,
               (SELECT jsonb_agg(format_type(a.atttypid, a.atttypmod) ORDER BY k.n)
                  FROM unnest(j.key) WITH ORDINALITY AS k(name, n)
                  LEFT JOIN pg_attribute a ON a.attrelid = j.source AND a.attname = k.name AND NOT a.attisdropped),
               j.follow, j.search_path, j.options -> 'where', j.options -> 'delete_statement')::text, 'UTF8')), 'hex')
      FROM conveyor.job_definition j
     WHERE j.id = job_fingerprint.job;
END;

-- Writes what add_job() has found to be right.
CREATE FUNCTION conveyor.put_job(definition conveyor.job_definition) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_migration conveyor.migration_definition := conveyor.find_migration(definition.migration);
    present      conveyor.job_definition;
    state        text;
BEGIN
    PERFORM conveyor.check_owner(of_migration.owner, 'migration', of_migration.migration);
    definition.options := conveyor.check_migration_options('job', definition.options, of_migration.options);
    IF definition.follow THEN
        PERFORM conveyor.check_watchable(definition.source);
    END IF;
    PERFORM conveyor.put_migration_state(of_migration.migration);
    SELECT s.state INTO state FROM conveyor.migration_state s WHERE s.migration = of_migration.migration FOR UPDATE;

    SELECT j.* INTO present FROM conveyor.job_definition j WHERE j.migration = definition.migration AND j.job = definition.job;
    IF FOUND THEN
        PERFORM conveyor.check_same('job', definition.job,
            jsonb_build_object('source', present.source::text, 'statement', present.statement, 'call', present.call::text, 'list', present.list,
                               'key', present.key, 'workers', present.workers, 'follow', present.follow, 'options', present.options),
            jsonb_build_object('source', definition.source::text, 'statement', definition.statement, 'call', definition.call::text, 'list', definition.list,
                               'key', definition.key, 'workers', definition.workers, 'follow', definition.follow, 'options', definition.options),
            format('Run SELECT conveyor.alter_job(%1$L, %2$L, …) to change its options, or choose another name; or begin anew: SELECT conveyor.cancel_migration(%1$L), conveyor.drop_migration(%1$L).',
                   definition.migration, definition.job));
        RETURN;
    END IF;
    IF state <> 'planned' THEN
        RAISE EXCEPTION 'migration "%" takes no further jobs: it is %', definition.migration, state
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Add the job to another migration: SELECT conveyor.create_migration(…).';
    END IF;

    INSERT INTO conveyor.job_definition (migration, job, list, source, statement, call, key, key_types, workers, follow, options, search_path, targets)
    VALUES (definition.migration, definition.job, definition.list, definition.source, definition.statement, definition.call, definition.key, definition.key_types,
            definition.workers, definition.follow, definition.options, definition.search_path, definition.targets);
    PERFORM conveyor.put_migration_state(definition.migration);
    PERFORM conveyor.write_journal('add job', definition.migration, format('%s: source %s, list %s', definition.job, definition.source, definition.list));
END
$$;

-- add_job
--   source       the table whose rows are to be gone through             list     jobs of one list run one after another
--   statement    what is done with a batch; it reads the relation batch   key      the columns that ranges are made of; default: the primary key
--   call         or a function or procedure of the first and last key     workers  how many work on it at once
--   follow       go on with what changes in the source, until finish_migration()
--   search_path  what batches are run with; the default is evaluated in the caller's session
-- Tables touched: job_definition, job_state, journal_entry.
CREATE FUNCTION conveyor.add_job(migration text, job text, source regclass, statement text DEFAULT NULL, call regprocedure DEFAULT NULL, list text DEFAULT 'main',
                                 key text[] DEFAULT NULL, workers int DEFAULT 1, follow boolean DEFAULT false, options jsonb DEFAULT '{}',
                                 search_path text DEFAULT current_setting('search_path')) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_migration conveyor.migration_definition := conveyor.find_migration(migration);
    definition   conveyor.job_definition;
BEGIN
    PERFORM conveyor.check_owner(of_migration.owner, 'migration', migration);
    PERFORM conveyor.check_name('job', job);
    PERFORM conveyor.check_name('job list', list);
    IF source IS NULL THEN
        RAISE EXCEPTION 'a job needs a source' USING ERRCODE = 'null_value_not_allowed', HINT = 'Give source => ''schema.table''.';
    ELSIF (statement IS NULL) = (call IS NULL) THEN
        RAISE EXCEPTION 'a job has either a statement or a call' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Give statement => ''INSERT INTO … SELECT … FROM batch'' or call => ''schema.function(bigint, bigint)''.';
    ELSIF workers IS NULL OR workers NOT BETWEEN 1 AND 64 THEN
        RAISE EXCEPTION 'invalid number of workers: %', coalesce(workers::text, 'null') USING ERRCODE = 'invalid_parameter_value', HINT = 'Give a number between 1 and 64.';
    ELSIF follow IS NULL THEN
        RAISE EXCEPTION 'follow must be true or false' USING ERRCODE = 'null_value_not_allowed';
    ELSIF follow AND statement IS NULL THEN
        RAISE EXCEPTION 'a job with a call cannot follow its source' USING ERRCODE = 'feature_not_supported',
            DETAIL = 'A call takes ranges of keys; what changes are single keys.', HINT = 'Give a statement that can be repeated (INSERT … ON CONFLICT … DO UPDATE).';
    END IF;
    definition.migration := migration;
    definition.job := job;
    definition.list := list;
    definition.source := source;
    definition.statement := statement;
    definition.call := call;
    definition.workers := workers;
    definition.follow := follow;
    definition.options := options;
    definition.search_path := search_path;
    SELECT a.key_found, a.key_types::regtype[], a.targets::regclass[] INTO definition.key, definition.key_types, definition.targets
      FROM conveyor.analyse_job(source, statement, call, key, options, search_path) AS a;
    PERFORM conveyor.put_job(definition);
END
$$;
COMMENT ON FUNCTION conveyor.add_job(text, text, regclass, text, regprocedure, text, text[], int, boolean, jsonb, text) IS
    'go through a table in batches, each given to a statement or a call; the same definition again does nothing';

-- `given` laid over `present`, as alter_… does: null takes an option away, and throttles are merged one by one.
CREATE FUNCTION conveyor.merged_options(present jsonb, given jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN present || given
       || CASE WHEN jsonb_typeof(given -> 'throttles') = 'object'
               THEN jsonb_build_object('throttles', conveyor.without_nulls(coalesce(present -> 'throttles', '{}') || (given -> 'throttles'))) ELSE '{}' END;

-- Operators throttle; what is run, and how it is judged, is the owner's.
CREATE FUNCTION conveyor.check_may_alter(migration conveyor.migration_definition, options jsonb) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF options IS NULL OR jsonb_typeof(options) <> 'object' THEN
        PERFORM conveyor.check_options('migration', NULL, options);
    ELSIF options - ARRAY['rate', 'run_windows', 'throttles', 'batch_size', 'min_batch_size', 'max_batch_size', 'target_duration', 'description'] = '{}' THEN
        PERFORM conveyor.check_operator(migration.owner, 'migration', migration.migration);
    ELSE
        PERFORM conveyor.check_owner(migration.owner, 'migration', migration.migration);
    END IF;
END
$$;

-- What changed options mean for a job that is under way: its next batch goes by them.
CREATE FUNCTION conveyor.apply_options(job int, given jsonb) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    UPDATE conveyor.job_state s
       SET batch_size = least(CASE WHEN given ? 'batch_size' THEN (o.o ->> 'batch_size')::int
                                   ELSE greatest(s.batch_size, (o.o ->> 'min_batch_size')::int) END, (o.o ->> 'max_batch_size')::int),
           free_at = CASE WHEN given ? 'rate' THEN NULL ELSE s.free_at END,
           updated_at = clock_timestamp()
      FROM conveyor.job_options(apply_options.job) AS o(o)
     WHERE s.id = apply_options.job
       AND given ?| ARRAY['batch_size', 'min_batch_size', 'max_batch_size', 'rate'];
END;

CREATE FUNCTION conveyor.alter_migration(migration text, options jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present conveyor.migration_definition := conveyor.find_migration(migration);
    merged  jsonb;
    of_job  conveyor.job_definition;
BEGIN
    PERFORM conveyor.check_may_alter(present, options);
    SELECT m.* INTO present FROM conveyor.migration_definition m WHERE m.migration = alter_migration.migration FOR UPDATE;
    merged := conveyor.check_migration_options('migration', conveyor.merged_options(present.options, options));
    UPDATE conveyor.migration_definition m SET options = merged WHERE m.migration = alter_migration.migration;
    FOR of_job IN SELECT j.* FROM conveyor.job_definition j WHERE j.migration = alter_migration.migration ORDER BY j.id LOOP
        PERFORM conveyor.check_migration_options('job', of_job.options, merged);
        PERFORM conveyor.apply_options(of_job.id, alter_migration.options - ARRAY(SELECT jsonb_object_keys(of_job.options)));
    END LOOP;
    PERFORM conveyor.write_journal('alter migration', migration, conveyor.difference(present.options, merged));
END
$$;
COMMENT ON FUNCTION conveyor.alter_migration(text, jsonb) IS
    'merge options into a migration''s; null brings an option back to its default; takes effect at the next batch';

CREATE FUNCTION conveyor.put_job_options(migration text, job text, options jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_migration conveyor.migration_definition := conveyor.find_migration(migration);
    present      conveyor.job_definition := conveyor.find_job(migration, job);
    merged       jsonb;
BEGIN
    PERFORM conveyor.check_may_alter(of_migration, options);
    SELECT j.* INTO present FROM conveyor.job_definition j WHERE j.id = present.id FOR UPDATE;
    merged := conveyor.check_migration_options('job', conveyor.merged_options(present.options, options), of_migration.options);
    IF (merged -> 'where', merged -> 'delete_statement') IS DISTINCT FROM (present.options -> 'where', present.options -> 'delete_statement')
       AND EXISTS (SELECT FROM conveyor.job_state s WHERE s.id = present.id AND s.fingerprint IS NOT NULL) THEN
        RAISE EXCEPTION 'job "%" has begun: what it does cannot be changed', job
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = conveyor.difference(present.options, merged),
                  HINT = format('Begin anew: SELECT conveyor.cancel_migration(%1$L), conveyor.drop_migration(%1$L).', migration);
    END IF;
    UPDATE conveyor.job_definition j SET options = merged WHERE j.id = present.id;
    PERFORM conveyor.apply_options(present.id, put_job_options.options);
    PERFORM conveyor.write_journal('alter job', migration, format('%s: %s', job, conveyor.difference(present.options, merged)));
END
$$;

CREATE FUNCTION conveyor.alter_job(migration text, job text, options jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present conveyor.job_definition;
BEGIN
    IF options ?| ARRAY['where', 'setup', 'delete_statement'] THEN
        present := conveyor.find_job(migration, job);
        PERFORM conveyor.check_owner((conveyor.find_migration(migration)).owner, 'migration', migration);
        PERFORM conveyor.analyse_job(present.source, present.statement, present.call, present.key,
                                     conveyor.without_nulls(conveyor.merged_options(present.options, options)), present.search_path);
    END IF;
    PERFORM conveyor.put_job_options(migration, job, options);
END
$$;
COMMENT ON FUNCTION conveyor.alter_job(text, text, jsonb) IS
    'merge options into a job''s; null brings an option back to its migration''s; takes effect at the next batch';

CREATE FUNCTION conveyor.drop_migration(migration text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present conveyor.migration_definition := conveyor.find_migration(migration);
    state   text;
BEGIN
    PERFORM conveyor.check_owner(present.owner, 'migration', migration);
    PERFORM conveyor.lock_migration(migration);
    SELECT s.state INTO state FROM conveyor.migration_state s WHERE s.migration = drop_migration.migration;
    IF state IN ('running', 'paused', 'finishing') THEN
        RAISE EXCEPTION 'migration "%" is %', migration, state
            USING ERRCODE = 'object_in_use', HINT = format('Run SELECT conveyor.cancel_migration(%L) first.', migration);
    END IF;
    DELETE FROM conveyor.migration_definition m WHERE m.migration = drop_migration.migration;
    PERFORM conveyor.release_captures();
    PERFORM conveyor.write_journal('drop migration', migration, 'was ' || coalesce(state, 'planned'));
END
$$;
COMMENT ON FUNCTION conveyor.drop_migration(text) IS 'forget a migration and its jobs; what they have done stays; one that runs is cancelled first';
