-- 90: rights, as data in one place. Nothing is granted to PUBLIC, but the trigger functions; what stands in no list is for the extension's owner.

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA conveyor FROM PUBLIC;
REVOKE ALL ON ALL PROCEDURES IN SCHEMA conveyor FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA conveyor FROM PUBLIC;
REVOKE ALL ON SCHEMA conveyor FROM PUBLIC;
-- The exception: whoever makes a partition of a watched table clones its trigger, which takes this right and not one on the
-- schema. Nobody can call them, and they record nothing for a table that is not captured.
GRANT EXECUTE ON FUNCTION conveyor.capture(), conveyor.capture_truncate() TO PUBLIC;
GRANT USAGE ON SCHEMA conveyor TO conveyor_reader, conveyor_operator, conveyor_agent;

DO $$
DECLARE
    -- Whoever reads; the functions are those that the views call.
    views     CONSTANT text[] := ARRAY['delivery_status', 'resync_status', 'verification_status', 'difference', 'rebuild_status', 'dead_letter', 'watch_status', 'agent_status', 'journal',
                                       'target_definition', 'feed_definition', 'watch', 'delivery_definition', 'option_definition',
                                       'migration_status', 'job_status', 'dead_row', 'migration_definition', 'job_definition', 'migration_transition', 'rebuild_transition', 'throttle_kind'];
    reading   CONSTANT text[] := ARRAY['lease_timeout', 'log_usage', 'state_name', 'index_filling', 'pending', 'filling', 'rebuild_shown', 'rebuild_request', 'rebuild_refused', 'rebuild_keep', 'percent', 'shown', 'time_left', 'wait_delivered', 'audit', 'lint_query', 'examine_key_query',
                                       'job_option', 'follow_lag', 'relation_rows', 'job_rate', 'job_held', 'key_of', 'assert_finished', 'wait_finished', 'wait_is_over'];
    -- Whoever operates. Those who make feeds and deliveries of their own need no more: ownership is checked inside.
    -- Targets are not here: where documents go, and with which secrets, is for a superuser to say or to grant.
    operating CONSTANT text[] := ARRAY['create_feed', 'alter_feed', 'drop_feed', 'add_watch', 'drop_watch', 'derive_watches', 'explain_feed', 'adapt_feed', 'change_view',
                                       'create_delivery', 'alter_delivery', 'drop_delivery', 'pause_delivery', 'resume_delivery',
                                       'resync', 'resync_query', 'resync_all', 'rebuild', 'resume_rebuild', 'rollback_rebuild', 'pause_resync', 'resume_resync', 'cancel_resync',
                                       'retry_dead_letters', 'discard_dead_letters', 'confirm_epoch', 'tick',
                                       'create_migration', 'add_job', 'alter_migration', 'alter_job', 'drop_migration',
                                       'start_migration', 'pause_migration', 'resume_migration', 'cancel_migration', 'retry_migration', 'examine_statement',
                                       'finish_migration', 'verify_job'];
    -- What resync_query() and `conveyor resync` call; each checks whose delivery it is.
    loading   CONSTANT text[] := ARRAY['load_begin', 'load_keys', 'load_page', 'load_end', 'load_fail', 'collect_keys'];
    -- What is called with the rights of a migration's owner, by add_job() and by the runners of its jobs; each checks whose job it is.
    running   CONSTANT text[] := ARRAY['caller', 'check_owner', 'check_name', 'find_migration', 'find_job', 'analyse_job', 'put_job', 'put_job_options', 'merged_options', 'without_nulls',
                                       'check_runnable', 'job_options', 'job_throttle', 'observe_throttles', 'note_throttle',
                                       'job_plan', 'job_next', 'job_runnable', 'job_is_new', 'job_begin', 'job_claim_begin', 'job_claim_store', 'job_take', 'job_checkpoint',
                                       'job_put_off', 'job_split', 'job_dead_row', 'job_finish', 'job_fail', 'job_warn', 'job_end_key', 'job_warn_behind', 'job_rows', 'job_history',
                                       'run_migration', 'run_begin', 'run_next', 'run_batch'];
    -- The same for jobs that follow their source, their end, and the comparison of both sides.
    following CONSTANT text[] := ARRAY['check_owner_session', 'follow_begin', 'follow_start', 'follow_next', 'follow_window', 'follow_slice', 'follow_state', 'follow_checkpoint', 'follow_done',
                                       'follow_dead_row', 'follow_alive', 'follow_put_off', 'follow_throttle', 'log_is_tight',
                                       'followers', 'capture_members', 'release_captures', 'first_job', 'finish_begin', 'finish_rest', 'finish_lock', 'finish_done',
                                       'finish_give_up', 'finish_leave', 'analyse_target', 'verify_begin', 'verify_repair', 'verify_end', 'comparison_of', 'comparison_range', 'comparison_keys',
                                       'comparison_texts', 'comparison_end_sql', 'comparison_hash_sql', 'comparison_list_sql', 'difference_of', 'comes_before', 'compare',
                                       'job_pending', 'apply_keys', 'repair_begin'];
    -- What the agent calls (docs/internals.md, section 3), and no more.
    agent     CONSTANT text[] := ARRAY['agent_start', 'agent_sync', 'agent_poll', 'agent_stop', 'renew_lease', 'fence', 'advance', 'range_claim', 'range_finish',
                                       'sweep_finish', 'request_keys', 'request_keys_done', 'orphan_keys', 'orphans_settled', 'mark_stale', 'hold',
                                       'rebuild_next', 'rebuild_turned', 'store_index', 'removal_done', 'tick', 'latest_snapshot', 'snapshot_version',
                                       'window_keys', 'fetch_keys', 'fetch_range', 'range_contents', 'range_keys', 'absent_keys',
                                       'verification_begin', 'verification_claim', 'verification_note', 'verification_enter', 'verification_keys',
                                       'verification_settle', 'verification_resync', 'verification_request', 'verification_delivered', 'verification_condition', 'verification_finish', 'present_version'];
    name text;
    routine regprocedure;
    recipients text;
    functions text[];
BEGIN
    FOREACH name IN ARRAY views LOOP
        EXECUTE format('GRANT SELECT ON conveyor.%I TO conveyor_reader, conveyor_operator', name);
    END LOOP;
    FOR recipients, functions IN VALUES ('conveyor_reader, conveyor_operator', reading), ('conveyor_operator', operating || loading || running || following), ('conveyor_agent', agent) LOOP
        FOREACH name IN ARRAY functions LOOP
            IF NOT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE pronamespace = 'conveyor'::regnamespace AND proname = name) THEN
                RAISE EXCEPTION 'no function conveyor.% to grant', name;
            END IF;
            FOR routine IN SELECT p.oid FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'conveyor'::regnamespace AND p.proname = name LOOP
                EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %s', routine, recipients);
            END LOOP;
        END LOOP;
    END LOOP;
END
$$;
