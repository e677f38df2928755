// What a runner must know of a job: read afresh before each batch, so that altered options take effect at the next one.
#pragma once

#include "fetch/feed.hpp"
#include "migrate/ask.hpp"
#include "migrate/size.hpp"

namespace conveyor::migrate {

// For key_column_for().
constexpr const char* kKeyPurpose = "the key of a job";
constexpr const char* kKeyHint = "Give key => ARRAY[...] with columns of other types.";

// What is done about a plan whose time grows faster than its rows.
enum class Examine { off, warn, stop };

struct Job {
  int id;
  char* migration;
  char* name;
  char* list;
  int first_of_list;  // the job that stands for the list in locks
  Oid owner;
  Oid source;
  char* source_name;  // qualified and quoted; NULL: it is gone
  char* statement;    // or NULL
  Oid call;           // or InvalidOid
  int keys;
  KeyColumn* key;
  int workers;
  bool running;  // it and its migration
  bool follow;
  char* search_path;

  char* condition;  // option `where`, or NULL
  char* setup;      // or NULL
  bool stop_on_error;
  int max_attempts;
  int64 retry_delay;        // ms
  int64 max_retry_delay;    // ms
  int64 statement_timeout;  // ms
  int64 lock_timeout;       // ms
  SizeLimits size;
  Examine examine;
  int examine_every;  // batches: one of so many is measured node by node
};

// Reads the job in the current context; NULL where it is not there any more.
Job* read_job(int id);

// The source's key is one integer column: its ranges can be counted out.
bool has_integer_key(const Job* job);

// "migration/job", for people.
char* job_title(const Job* job);

}  // namespace conveyor::migrate
