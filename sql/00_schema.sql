-- pg_conveyor, 00: roles, and the few things that every other topic leans on.
-- This file is the first of sql/*.sql, which the Makefile joins in name order into the install script.
\echo Use "CREATE EXTENSION pg_conveyor" to load this file. \quit

-- Roles belong to the whole cluster: another database may have made them already.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['conveyor_reader', 'conveyor_operator', 'conveyor_agent'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', role_name);
        END IF;
    END LOOP;
END
$$;

-- Functions here run with the rights of the extension's owner. A schema that somebody else prepared could hold functions
-- that shadow ours.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_namespace n
                WHERE n.nspname = 'conveyor'
                  AND NOT (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.oid = n.nspowner)) THEN
        RAISE EXCEPTION 'schema "conveyor" exists and does not belong to a superuser'
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Run DROP SCHEMA conveyor (or rename it) before CREATE EXTENSION pg_conveyor.';
    END IF;
END
$$;

-- The role that called: not the definer of a SECURITY DEFINER function, and not the login behind a SET ROLE.
CREATE FUNCTION conveyor.caller() RETURNS name
    LANGUAGE sql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
RETURN CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role')::name END;
COMMENT ON FUNCTION conveyor.caller() IS 'the role that called, as seen through SET ROLE and SECURITY DEFINER';

-- Names are promises to people and keys of tables: never cut, never empty.
CREATE FUNCTION conveyor.check_name(object text, name text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF name IS NULL OR name = '' THEN
        RAISE EXCEPTION 'name of a % must not be empty', object
            USING ERRCODE = 'invalid_name', HINT = 'Give a name of 1 to 63 bytes.';
    ELSIF octet_length(name) > 63 THEN
        RAISE EXCEPTION 'name of a % is too long: "%"', object, name
            USING ERRCODE = 'name_too_long',
                  DETAIL = format('It has %s bytes; at most 63 are allowed.', octet_length(name)),
                  HINT = 'Give a shorter name; names are never cut.';
    ELSIF name ~ '[[:cntrl:]]' THEN
        RAISE EXCEPTION 'name of a % must not contain control characters', object
            USING ERRCODE = 'invalid_name', HINT = 'Give a name that prints on one line.';
    END IF;
END
$$;

-- The condition for CHECK constraints on name columns; check_name() is what people meet first.
CREATE FUNCTION conveyor.is_name(name text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
RETURN octet_length(name) BETWEEN 1 AND 63;

-- May the caller change what `owner` owns? The action and object make the message.
CREATE FUNCTION conveyor.check_owner(owner regrole, object text, name text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A role that was dropped leaves its number behind: then only superusers are its members.
    IF EXISTS (SELECT FROM pg_roles WHERE oid = owner) THEN
        IF pg_has_role(conveyor.caller(), owner, 'USAGE') THEN
            RETURN;
        END IF;
    ELSIF (SELECT rolsuper FROM pg_roles WHERE rolname = conveyor.caller()) THEN
        RETURN;
    END IF;
    RAISE EXCEPTION 'must be owner of % "%"', object, name
        USING ERRCODE = 'insufficient_privilege',
              HINT = format('It belongs to role %s: run SET ROLE %s first, or ask for membership in it.', owner, owner);
END
$$;

-- As check_owner(), but operators may too: pause, resume, retry, throttle.
CREATE FUNCTION conveyor.check_operator(owner regrole, object text, name text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT pg_has_role(conveyor.caller(), 'conveyor_operator', 'USAGE') THEN
        PERFORM conveyor.check_owner(owner, object, name);
    END IF;
END
$$;

-- A duration from the settings, all of which are in milliseconds. Any C function of ours loads the library, and with it the
-- settings; a value from postgresql.conf that was read before that may still be a bare number.
CREATE FUNCTION conveyor.setting_interval(setting text) RETURNS interval
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    value text := current_setting(setting, true);
BEGIN
    IF value IS NULL THEN
        PERFORM conveyor.latest_snapshot();
        value := current_setting(setting);
    END IF;
    RETURN CASE WHEN value ~ '^[0-9]+$' THEN make_interval(secs => value::float8 / 1000) ELSE value::interval END;
END
$$;

-- "a: 1 here, 2 asked for": one line per property that differs, NULL when none does. Both have the same properties.
CREATE FUNCTION conveyor.difference(present jsonb, asked jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT string_agg(format('%s: %s now, %s asked for', key, coalesce(present -> key, 'null'), coalesce(asked -> key, 'null')), E'\n' ORDER BY key)
          FROM (SELECT jsonb_object_keys(present) UNION SELECT jsonb_object_keys(asked)) AS k(key)
         WHERE present -> key IS DISTINCT FROM asked -> key);
COMMENT ON FUNCTION conveyor.difference(jsonb, jsonb) IS 'the lines of an error''s detail when something exists with another definition';

-- The error of create_* where the name is taken by another definition; nothing when the definitions are the same.
CREATE FUNCTION conveyor.check_same(object text, name text, present jsonb, asked jsonb, remedy text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lines text := conveyor.difference(present, asked);
BEGIN
    IF lines IS NOT NULL THEN
        RAISE EXCEPTION '% "%" exists with another definition', object, name
            USING ERRCODE = 'duplicate_object', DETAIL = lines, HINT = remedy;
    END IF;
END
$$;

-- NULLs of the top level removed: in an options object they mean "back to the default".
CREATE FUNCTION conveyor.without_nulls(options jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(options) WHERE value <> 'null');

-- Stands for a document's id in indexes: ids of any length are possible, index entries are not.
CREATE FUNCTION conveyor.key_digest(key text) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
RETURN encode(substring(sha256(convert_to(key, 'UTF8')) FOR 16), 'hex')::uuid;
