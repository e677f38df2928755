#include "migrate/failure.hpp"

namespace conveyor::migrate {

namespace {

struct Rule {
  std::string_view prefix;  // of the SQLSTATE; the first that fits applies
  Failure failure;
  std::string_view remedy;
};

// Where nothing fits it is the data: functions raise errors with SQLSTATEs of their own.
constexpr Rule kRules[] = {
    {"40001", Failure::transient, ""},  // serialization_failure
    {"40P01", Failure::transient, ""},  // deadlock_detected
    {"55P03", Failure::transient, ""},  // lock_not_available
    {"55006", Failure::transient, ""},  // object_in_use
    {"57014", Failure::transient, ""},  // query_canceled
    {"08", Failure::transient, ""},     // connection exceptions, of functions that have connections
    {"53100", Failure::fatal, "Make room on the disk."},
    {"53200", Failure::fatal, "Give the server more memory, or the job smaller batches (max_batch_size)."},
    {"53", Failure::fatal, "Give the server more of what it has run out of."},
    {"42501", Failure::fatal, "Grant the migration's owner what the statement needs."},
    {"42P01", Failure::fatal, "Create the relation, or drop the migration and define it anew."},
    {"42", Failure::fatal, "Put right what the statement refers to, or drop the migration and define it anew."},
    {"28", Failure::fatal, "Let the migration's owner log in."},
    {"2D", Failure::fatal,
     "A batch and its checkpoint commit together: leave COMMIT and ROLLBACK out of what the job calls."},
    {"25006", Failure::fatal, "Run it on the primary."},
    {"25", Failure::fatal, ""},
    {"0A", Failure::fatal, ""},
    {"0B", Failure::fatal, ""},
    {"26", Failure::fatal, ""},
    {"3D", Failure::fatal, ""},
    {"3F", Failure::fatal, "Create the schema, or drop the migration and define it anew."},
    {"55", Failure::fatal, ""},
    {"57", Failure::fatal, ""},
    {"58", Failure::fatal, "Look into the server's log: a file could not be read or written."},
    {"F0", Failure::fatal, ""},
    {"HV", Failure::fatal, ""},
    {"XX", Failure::fatal, "Look into the server's log: this is not the data's fault."},
};

const Rule* rule_of(std::string_view sqlstate) {
  for (const Rule& rule : kRules)
    if (sqlstate.starts_with(rule.prefix)) return &rule;
  return nullptr;
}

}  // namespace

Failure classify(std::string_view sqlstate) {
  const Rule* rule = rule_of(sqlstate);
  return rule == nullptr ? Failure::data : rule->failure;
}

std::string_view remedy(std::string_view sqlstate) {
  const Rule* rule = rule_of(sqlstate);
  return rule == nullptr ? std::string_view() : rule->remedy;
}

}  // namespace conveyor::migrate
