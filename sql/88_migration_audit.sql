-- 88: what the auditor says of migrations. Jobs that are at their end are not looked at.

CREATE FUNCTION conveyor.audit_migrations() RETURNS TABLE (severity text, object text, problem text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH open_job AS (
        SELECT j.*, coalesce(s.state, 'planned') AS state, s.fingerprint, m.state AS migration_state, format('job %I of migration %I', j.job, j.migration) AS name
          FROM conveyor.job_definition j
          LEFT JOIN conveyor.job_state s USING (id)
          LEFT JOIN conveyor.migration_state m USING (migration)
         WHERE coalesce(s.state, 'planned') NOT IN ('finished', 'cancelled')
    )
    SELECT 'error', j.name, format('its source with oid %s does not exist any more', j.source::oid),
           format('SELECT conveyor.cancel_migration(%1$L), conveyor.drop_migration(%1$L)', j.migration)
      FROM open_job j
     WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = j.source)
    UNION ALL
    SELECT 'error', j.name, format('column "%s" of its key is not among the columns of its source %s', k.name, j.source),
           format('SELECT conveyor.cancel_migration(%1$L), conveyor.drop_migration(%1$L), then create it anew', j.migration)
      FROM open_job j
      JOIN pg_class c ON c.oid = j.source,
           LATERAL unnest(j.key) AS k(name)
     WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = j.source AND a.attname = k.name AND a.attnum > 0 AND NOT a.attisdropped)
    UNION ALL
    SELECT 'error', j.name, format('the function with oid %s that it calls does not exist any more', j.call::oid),
           format('SELECT conveyor.cancel_migration(%1$L), conveyor.drop_migration(%1$L), then create it anew', j.migration)
      FROM open_job j
     WHERE j.call IS NOT NULL AND NOT EXISTS (SELECT FROM pg_proc p WHERE p.oid = j.call)
    UNION ALL
    SELECT 'error', j.name, 'it is not what its batches have run by',
           format('put back what was changed, or SELECT conveyor.resume_migration(%L, accept_changes => true) after a pause', j.migration)
      FROM open_job j
      JOIN pg_class c ON c.oid = j.source
     WHERE j.state IN ('running', 'following', 'failed') AND j.fingerprint <> conveyor.job_fingerprint(j.id)
       AND (j.call IS NULL OR EXISTS (SELECT FROM pg_proc p WHERE p.oid = j.call))
    UNION ALL
    SELECT 'error', format('migration %I', m.migration), format('its owner, the role with oid %s, does not exist any more', m.owner::oid),
           format('SELECT conveyor.cancel_migration(%1$L), conveyor.drop_migration(%1$L)', m.migration)
      FROM conveyor.migration_definition m
     WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = m.owner)
    UNION ALL
    SELECT 'error', format('migration %I', m.migration), format('its owner %s may not log in, so background workers cannot run it', m.owner), format('ALTER ROLE %s LOGIN', m.owner)
      FROM conveyor.migration_definition m
      JOIN conveyor.migration_state s USING (migration)
      JOIN pg_roles r ON r.oid = m.owner AND NOT r.rolcanlogin
     WHERE s.state = 'running' AND current_setting('server_version_num')::int < 170000
    UNION ALL
    SELECT 'error', format('migration %I', m.migration), format('its owner %s may not connect to this database, so background workers cannot run it', m.owner),
           format('GRANT CONNECT ON DATABASE %I TO %s', current_database(), m.owner)
      FROM conveyor.migration_definition m
      JOIN conveyor.migration_state s USING (migration)
      JOIN pg_roles r ON r.oid = m.owner AND NOT has_database_privilege(r.oid, current_database(), 'CONNECT')
     WHERE s.state = 'running';
END;
