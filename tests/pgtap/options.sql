-- Options are validated against conveyor.option_definition; each error names the option and what would be right.
BEGIN;
\ir fixture.psql
SELECT plan(29);

SELECT throws_ok($$SELECT conveyor.create_target('t', 'elasticsearch', '{"url": "http://h", "timout": "1 s"}')$$,
    '42P02', 'target elasticsearch has no option "timout"', 'an unknown option is an error');
SELECT throws_ok($$SELECT conveyor.create_target('t', 'elasticsearch', '{"url": "http://h", "directory": "/x"}')$$,
    '42P02', 'target elasticsearch has no option "directory"', 'an option of another kind is unknown');
SELECT throws_ok($$SELECT conveyor.create_target('t', 'elasticsearch', '{"url": "http://h", "password": "x"}')$$,
    '42P02', 'target elasticsearch has no option "password": secrets are not kept in the database', 'a secret is no option, and the error says where it goes');
SELECT throws_ok($$SELECT conveyor.create_target('t', 'elasticsearch', '{}')$$,
    '22023', 'target elasticsearch needs the option "url"', 'a required option must be there');
SELECT throws_ok($$SELECT conveyor.create_target('t', 'kafka')$$, '22023', 'unknown kind of target: "kafka"', 'an unknown kind is an error');
SELECT throws_ok($$SELECT conveyor.create_target('t', 'ndjson', '[]')$$, '22023', 'options of a target must be a JSON object', 'options are an object');
SELECT throws_ok($$SELECT conveyor.create_target('t', 'ndjson', NULL)$$, '22023', 'options of a target must be a JSON object', 'null is no options');

-- Types and ranges, on a delivery.
SELECT throws_like(format('SELECT conveyor.create_delivery(%L, %L, %L, options => %L)', 'd', 'orders', 'search', options), message, format('%s is refused', options))
  FROM (VALUES ('{"job_lists": 0}', 'invalid value for option "job_lists": 0 is out of range'),
               ('{"job_lists": 65}', '%out of range'),
               ('{"job_lists": 1.5}', '%is not a whole number'),
               ('{"rate": "fast"}', '%"fast" is not a whole number'),
               ('{"rate": -1}', '%out of range'),
               ('{"tags": "blue"}', '%is not an array of texts'),
               ('{"tags": [1]}', '%is not an array of texts'),
               ('{"backfill": "yes"}', '%is not true or false'),
               ('{"batch_bytes": "63kB"}', '%out of range'),
               ('{"batch_bytes": "much"}', '%is not a size%'),
               ('{"fetch_timeout": "soon"}', '%is not an interval%'),
               ('{"fetch_timeout": "10 ms"}', '%out of range'),
               ('{"index": []}', '%is not an object'),
               ('{"index": {"setings": {}}}', 'invalid value for option "index": "setings" is not%')) AS c(options, message);

-- What a password in a URL would give away is not repeated.
CREATE FUNCTION pg_temp.refusal(url text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM conveyor.create_target('t', 'elasticsearch', jsonb_build_object('url', url));
    RETURN 'accepted';
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN SQLERRM;
END $$;
SELECT is(pg_temp.refusal('https://user:geheim@host:9200'), 'option "url" must not contain a user or a password', 'no password in a URL');
SELECT is(pg_temp.refusal('ftp://user:geheim@host'), 'option "url" must not contain a user or a password', 'whatever its scheme');
SELECT is(pg_temp.refusal('user:geheim@host'), 'option "url" must not contain a user or a password', 'and without one');
SELECT alike(pg_temp.refusal('host:9200'), '%must begin with http%', 'a URL needs its scheme');
SELECT alike(pg_temp.refusal('http://host:99999'), '%port%', 'and a port that exists');

-- What the agent gets: defaults filled in, plain units.
SELECT conveyor.create_target('units', 'elasticsearch', '{"url": "http://[::1]:9200/es", "timeout": "90 s"}') \g /dev/null
SELECT conveyor.create_delivery('units', 'orders', 'units', options => '{"batch_bytes": "2MB", "rate": 7, "compress": null}') \g /dev/null
SELECT conveyor.agent_start('a', 'h', 1, '0', 1, '{}') \g /dev/null
CREATE TEMP TABLE answer AS SELECT conveyor.agent_sync('a', '{}') -> 'deliveries' -> 0 AS d;
SELECT is(d -> 'options', '{"rate": 7, "tags": [], "index": {}, "backfill": true, "compress": false, "in_flight": 4, "job_lists": 2, "range_size": 20000,
    "batch_bytes": 2097152, "retry_delay": 100, "max_attempts": 10, "rebuild_keep": 86400000, "fetch_timeout": 60000, "max_retry_delay": 60000, "dead_letter_limit": 1000}',
    'a delivery''s options reach the agent complete, in bytes and milliseconds') FROM answer;
SELECT is(d #> '{target_options,timeout}', '90000', 'an interval of a target in milliseconds') FROM answer;
SELECT is(d #> '{target_options,url}', '["http://[::1]:9200/es"]', 'one URL becomes a list of one') FROM answer;

SELECT * FROM finish();
ROLLBACK;
