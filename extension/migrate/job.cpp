#include "migrate/job.hpp"

namespace conveyor::migrate {

namespace {

enum Column {
  kMigration = 1,
  kName,
  kList,
  kFirstOfList,
  kOwner,
  kSource,
  kStatement,
  kCall,
  kKey,
  kKeyTypes,
  kWorkers,
  kFollow,
  kSearchPath,
  kCondition,
  kSetup,
  kStopOnError,
  kMaxAttempts,
  kRetryDelay,
  kMaxRetryDelay,
  kStatementTimeout,
  kLockTimeout,
  kMinimum,
  kMaximum,
  kTarget,
  kRunning,
  kExamine,
  kExamineEvery,
};

void read_key(Job* job, const Row& row) {
  char** names = row.strings(kKey, &job->keys);
  bool null;
  Datum types = row.value(kKeyTypes, &null);
  Datum* type;
  int count;
  deconstruct_array(DatumGetArrayTypeP(types), OIDOID, sizeof(Oid), true, TYPALIGN_INT, &type, nullptr, &count);
  job->key = static_cast<KeyColumn*>(palloc(sizeof(KeyColumn) * job->keys));
  for (int i = 0; i < job->keys; i++)
    job->key[i] = key_column_for(kKeyPurpose, names[i], DatumGetObjectId(type[i]), kKeyHint);
}

Examine examine_of(const char* option) {
  if (strcmp(option, "off") == 0) return Examine::off;
  return strcmp(option, "stop") == 0 ? Examine::stop : Examine::warn;
}

}  // namespace

Job* read_job(int id) {
  Parameters parameters;
  Row row = ask("SELECT * FROM conveyor.job_plan($1)", parameters.integer(id));
  if (!row || row.is_null(kMigration)) return nullptr;
  Job* job = static_cast<Job*>(palloc0(sizeof(Job)));
  job->id = id;
  job->migration = row.string(kMigration);
  job->name = row.string(kName);
  job->list = row.string(kList);
  job->first_of_list = row.integer(kFirstOfList);
  job->owner = row.oid(kOwner);
  job->source = row.oid(kSource);
  job->source_name = relation_name(job->source);
  job->statement = row.string(kStatement);
  job->call = row.oid(kCall);
  read_key(job, row);
  job->workers = row.integer(kWorkers);
  job->follow = row.boolean(kFollow);
  job->search_path = row.string(kSearchPath);
  job->condition = row.string(kCondition);
  job->setup = row.string(kSetup);
  job->stop_on_error = row.boolean(kStopOnError);
  job->max_attempts = row.integer(kMaxAttempts);
  job->retry_delay = row.bigint(kRetryDelay);
  job->max_retry_delay = row.bigint(kMaxRetryDelay);
  job->statement_timeout = row.bigint(kStatementTimeout);
  job->lock_timeout = row.bigint(kLockTimeout);
  job->running = row.boolean(kRunning);
  job->size.minimum = row.integer(kMinimum);
  job->size.maximum = row.integer(kMaximum);
  job->size.target = static_cast<double>(row.bigint(kTarget));
  job->examine = examine_of(row.string(kExamine));
  job->examine_every = row.integer(kExamineEvery);
  return job;
}

bool has_integer_key(const Job* job) {
  if (job->keys != 1) return false;
  Oid type = job->key[0].type;
  return type == INT2OID || type == INT4OID || type == INT8OID;
}

char* job_title(const Job* job) { return psprintf("%s/%s", job->migration, job->name); }

}  // namespace conveyor::migrate
