-- The tables of docs/settings.md, one line of Markdown a row. Run by settings-reference.sh.
SET client_min_messages = error;
LOAD 'pg_conveyor';

CREATE TEMP TABLE units (kind text, name text, size bigint);
INSERT INTO units VALUES ('time', 'ms', 1), ('time', 's', 1000), ('time', 'min', 60000), ('time', 'h', 3600000), ('time', 'd', 86400000),
                         ('size', 'B', 1), ('size', 'kB', 1::bigint << 10), ('size', 'MB', 1::bigint << 20), ('size', 'GB', 1::bigint << 30);

-- A number in the setting's unit as people write it.
CREATE FUNCTION pg_temp.shown(value text, unit text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE
        WHEN value = '' THEN '(empty)'
        WHEN unit IS NULL OR value !~ '^[1-9][0-9]*$' THEN value
        ELSE (
            -- in the largest unit that divides it
            SELECT format('%s%s', value::bigint * here.size / u.size, CASE u.kind WHEN 'time' THEN ' ' || u.name ELSE u.name END)
              FROM pg_temp.units u JOIN pg_temp.units here ON here.kind = u.kind AND here.name = shown.unit
             WHERE value::bigint * here.size % u.size = 0
             ORDER BY u.size DESC LIMIT 1)
    END
$$;

CREATE FUNCTION pg_temp.cell(value text) RETURNS text LANGUAGE sql AS $$ SELECT replace(replace(value, '|', '\|'), '<', '&lt;') $$;

SELECT '## Settings of the server';
SELECT '';
SELECT 'They are set like any other, by a superuser or whoever was granted `SET` on them: `ALTER DATABASE … SET conveyor.max_log_size = ''20GB''`,';
SELECT '`ALTER ROLE … SET`; or for the whole cluster, in a session that has loaded the library: `LOAD ''pg_conveyor''; ALTER SYSTEM SET';
SELECT 'conveyor.max_log_size = ''20GB''; SELECT pg_reload_conf();`';
SELECT '';
SELECT '| setting | default | range | meaning |';
SELECT '|---|---|---|---|';
SELECT format('| `%s` | %s | %s | %s |', name, pg_temp.shown(boot_val, unit),
              CASE WHEN enumvals IS NOT NULL THEN array_to_string(enumvals, ', ')
                   WHEN min_val IS NOT NULL THEN format('%s … %s', pg_temp.shown(min_val, unit), pg_temp.shown(max_val, unit))
                   ELSE '' END,
              pg_temp.cell(concat_ws(' ', short_desc, extra_desc)))
  FROM pg_settings
 WHERE name LIKE 'conveyor.%'
 ORDER BY name COLLATE "C";

SELECT '';
SELECT '## Options';
SELECT '';
SELECT 'Given as JSON to `create_target`, `create_feed`, `create_delivery`, `create_migration` and `add_job`, merged by `alter_target`, `alter_feed`, `alter_delivery`, `alter_migration` and';
SELECT '`alter_job`: `null` brings an option back to its default. A change takes effect within a second; for a job, at its next batch. Sizes are written `"5MB"`, durations `"30 s"`.';
SELECT 'An unknown option, a wrong type or a value out of range is an error.';

SELECT CASE WHEN previous IS DISTINCT FROM title
            THEN format(E'\n### %s\n\n| option | type | default | range | meaning |\n|---|---|---|---|---|\n', title) ELSE '' END
       || format('| `%s` | %s | %s | %s | %s |', name, replace(type, '_', ' '),
                 coalesce('`' || default_value::text || '`', CASE WHEN required THEN '*required*' ELSE '' END),
                 CASE WHEN choices IS NOT NULL THEN array_to_string(choices, ', ')
                      WHEN minimum IS NOT NULL AND maximum IS NOT NULL THEN format('%s … %s', minimum, maximum)
                      WHEN minimum IS NOT NULL THEN format('at least %s', minimum)
                      WHEN maximum IS NOT NULL THEN format('at most %s', maximum) ELSE '' END,
                 pg_temp.cell(description))
  FROM (SELECT o.*, lag(title) OVER w AS previous
          FROM (SELECT d.*, CASE WHEN kind IS NOT NULL THEN format('Of a %s of kind `%s`', object, kind)
                                 WHEN object = 'job' THEN 'Of every job. Given to a migration, they hold for all its jobs that have no own (but for `where` and `delete_statement`)'
                                 ELSE format('Of every %s', object) END AS title
                  FROM conveyor.option_definition d
                 WHERE object <> 'migration' OR NOT EXISTS (SELECT FROM conveyor.option_definition j WHERE j.object = 'job' AND j.name = d.name)) o
        WINDOW w AS (ORDER BY object DESC, kind NULLS FIRST, required DESC, name COLLATE "C")) q
 ORDER BY object DESC, kind NULLS FIRST, required DESC, name COLLATE "C";

SELECT '';
SELECT '### Throttles of migrations';
SELECT '';
SELECT 'What the option `throttles` of a job or migration may set: each is a limit, or `false` to look away. A batch begins only while no signal is above its limit; one that cannot be read';
SELECT 'counts as above. The views `migration_status` and `job_status` show what holds a job, as "signal observed > limit".';
SELECT '';
SELECT '| throttle | type | default | meaning |';
SELECT '|---|---|---|---|';
SELECT format('| `%s` | %s | `%s` | %s |', name, type, default_limit, pg_temp.cell(description)) FROM conveyor.throttle_kind ORDER BY name;
