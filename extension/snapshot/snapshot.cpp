#include "snapshot/snapshot.hpp"

#include "snapshot/require.hpp"

extern "C" {
#include "lib/stringinfo.h"
}

namespace conveyor {

bool snapshot_contains(const PgSnapshot* later, const PgSnapshot* earlier) {
  if (later->xmax < earlier->xmax) return false;
  for (uint32 i = 0; i < later->nxip; i++)
    if (snapshot_contains(earlier, later->xip[i])) return false;
  return true;
}

uint64 snapshot_version(const PgSnapshot* snapshot, int epoch) {
  uint64 progress = snapshot_progress(snapshot);
  if (epoch < 0 || epoch > kMaxEpoch)
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("epoch %d is out of range", epoch),
                    errdetail("Epochs lie between 0 and %d.", kMaxEpoch)));
  if (progress >> kEpochShift != 0)
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                    errmsg("transaction counter " UINT64_FORMAT " does not fit into a version", progress)));
  return static_cast<uint64>(epoch) << kEpochShift | progress;
}

char* snapshot_text(const PgSnapshot* snapshot) {
  StringInfoData text;
  initStringInfo(&text);
  appendStringInfo(&text, UINT64_FORMAT ":" UINT64_FORMAT ":", snapshot->xmin, snapshot->xmax);
  for (uint32 i = 0; i < snapshot->nxip; i++)
    appendStringInfo(&text, i == 0 ? UINT64_FORMAT : "," UINT64_FORMAT, snapshot->xip[i]);
  return text.data;
}

}  // namespace conveyor

using namespace conveyor;

// A lower bound for whatever is read from now on.
CONVEYOR_FUNCTION(snapshot_version) {
  require_primary();
  const PgSnapshot* snapshot = snapshot_from(GetLatestSnapshot());
  PG_RETURN_INT64(static_cast<int64>(snapshot_version(snapshot, PG_GETARG_INT32(0))));
}

CONVEYOR_FUNCTION(snapshot_contains) {
  PG_RETURN_BOOL(snapshot_contains(snapshot_value(PG_GETARG_DATUM(0)), snapshot_value(PG_GETARG_DATUM(1))));
}
