-- 84: throttles: what holds batches back. Each is a small collector: a function of the job and its limit that returns NULL to go
-- on, or "signal observed > limit". One that cannot be read holds the job: no news is bad news.

CREATE TABLE conveyor.throttle_kind (
    name           text PRIMARY KEY,
    type           text NOT NULL CHECK (type IN ('integer', 'real', 'interval', 'bytes')),
    default_limit  jsonb NOT NULL,         -- false: not looked at unless asked for
    collector      regprocedure,           -- (job int, ceiling numeric in plain units) returns text
    description    text NOT NULL
);
COMMENT ON TABLE conveyor.throttle_kind IS 'what holds the batches of migrations back: signals with their default limits, to be changed by the option throttles';

-- The limit that applies, in plain units; NULL: not looked at.
CREATE FUNCTION conveyor.throttle_ceiling(kind conveyor.throttle_kind, given jsonb) RETURNS numeric
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT CASE WHEN v <> 'false' THEN (conveyor.option_plain(kind.type, v) #>> '{}')::numeric END
          FROM coalesce(given -> kind.name, kind.default_limit) AS v);

CREATE FUNCTION conveyor.check_throttles(throttles jsonb) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given      record;
    definition conveyor.option_definition;
BEGIN
    FOR given IN SELECT e.key, e.value, k.type, k.description FROM jsonb_each(throttles) AS e LEFT JOIN conveyor.throttle_kind k ON k.name = e.key LOOP
        IF given.type IS NULL THEN
            RAISE EXCEPTION 'there is no throttle "%"', given.key
                USING ERRCODE = 'undefined_parameter',
                      HINT = format('Throttles are %s.', (SELECT string_agg(k.name, ', ' ORDER BY k.name) FROM conveyor.throttle_kind k));
        ELSIF given.value NOT IN ('false', 'null') THEN
            definition.name := 'throttles.' || given.key;
            definition.type := given.type;
            definition.minimum := '0';
            definition.description := given.description || ' false: not looked at.';
            PERFORM conveyor.check_option(definition, given.value);
        END IF;
    END LOOP;
END
$$;

-- The rate: when a job may claim again that claims `rows` rows now. What it did not use is lost, but for the last second's.
CREATE FUNCTION conveyor.rate_free_at(moment timestamptz, free_at timestamptz, rate numeric, rows bigint) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN rate > 0 THEN greatest(coalesce(free_at, moment), moment - interval '1 s') + make_interval(secs => (rows / rate)::float8) END;

-- What all collectors say of a job, NULL: nothing.
CREATE FUNCTION conveyor.observe_throttles(job int) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    options CONSTANT jsonb := conveyor.job_options(job);
    kind    conveyor.throttle_kind;
    ceiling numeric;
    answer  text;
    answers text[] := ARRAY[conveyor.closed_until(ARRAY(SELECT jsonb_array_elements_text(options -> 'run_windows')), clock_timestamp())];
BEGIN
    PERFORM conveyor.check_job_owner(job);
    FOR kind IN SELECT k.* FROM conveyor.throttle_kind k ORDER BY k.name LOOP
        ceiling := conveyor.throttle_ceiling(kind, options -> 'throttles');
        CONTINUE WHEN ceiling IS NULL;
        BEGIN
            EXECUTE format('SELECT %s($1, $2)', kind.collector::oid::regproc) INTO answer USING job, ceiling;
        EXCEPTION WHEN OTHERS THEN
            answer := 'could not be read: ' || SQLERRM;
        END;
        answers := answers || (kind.name || ': ' || answer);
    END LOOP;
    RETURN nullif(array_to_string(answers, '; '), '');
END
$$;

-- Notes what holds a job, for people.
CREATE FUNCTION conveyor.note_throttle(job int, reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.check_job_owner(job);
    UPDATE conveyor.job_state s SET throttle = reason, updated_at = clock_timestamp() WHERE s.id = job AND s.throttle IS DISTINCT FROM reason;
END
$$;

-- job_throttle: what runners ask before a batch, at most once a second: why must this job wait? NULL: it need not.
--   The custom query runs with the caller's rights, which are the owner's, in the job's search path.
-- Tables touched: job_state.
CREATE FUNCTION conveyor.job_throttle(job int) RETURNS text
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.job_definition := conveyor.find_job(job);
    query      text := conveyor.job_option(job, 'throttle_query');
    reason     text := conveyor.observe_throttles(job);
    answer     text;
BEGIN
    IF query IS NOT NULL THEN
        BEGIN
            PERFORM set_config('search_path', concat_ws(', ', nullif(definition.search_path, ''), 'pg_temp'), true);
            EXECUTE query INTO answer;
        EXCEPTION WHEN OTHERS THEN
            answer := 'could not be read: ' || SQLERRM;
        END;
        PERFORM set_config('search_path', 'pg_catalog, pg_temp', true);
        reason := nullif(concat_ws('; ', reason, 'throttle_query: ' || answer), '');
    END IF;
    PERFORM conveyor.note_throttle(job, reason);
    RETURN reason;
END
$$;
