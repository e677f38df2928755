// Trying something that may fail without losing the transaction.
#pragma once

#include "migrate/session.hpp"
#include "migrate/timer.hpp"
#include "migrate/wal_writer.hpp"

extern "C" {
#include "utils/resowner.h"
}

namespace conveyor::migrate {

// Runs `call` in a subtransaction. NULL where it succeeded; else the error, and nothing of it is left. A limit that
// `call` has set by timer_start() ends with it, and wal_writer_hurry(). In the foreground a cancel request is no
// failure: it goes on as an error. No object with a destructor may be made in `call`.
template <typename Call>
ErrorData* attempt(const Session& session, Call&& call) {
  MemoryContext context = CurrentMemoryContext;
  ResourceOwner owner = CurrentResourceOwner;
  ErrorData* volatile error = nullptr;
  volatile bool late = false;
  BeginInternalSubTransaction(nullptr);
  MemoryContextSwitchTo(context);
  PG_TRY();
  {
    call();
    wal_writer_relax();
    timer_stop();
    ReleaseCurrentSubTransaction();
  }
  PG_CATCH();
  {
    wal_writer_relax();
    late = timer_stop();
    MemoryContextSwitchTo(context);
    error = CopyErrorData();
    FlushErrorState();
    RollbackAndReleaseCurrentSubTransaction();
  }
  PG_END_TRY();
  MemoryContextSwitchTo(context);
  CurrentResourceOwner = owner;
  if (error != nullptr && error->sqlerrcode == ERRCODE_QUERY_CANCELED) {
    if (!late && !session.background()) ReThrowError(error);
    if (late) error->message = pstrdup("canceling the batch due to statement_timeout of its job");
  }
  return error;
}

// Runs `call` in a subtransaction and takes back what it did. Its error is an error.
template <typename Call>
void undone(Call&& call) {
  MemoryContext context = CurrentMemoryContext;
  ResourceOwner owner = CurrentResourceOwner;
  ErrorData* volatile error = nullptr;
  BeginInternalSubTransaction(nullptr);
  MemoryContextSwitchTo(context);
  PG_TRY();
  { call(); }
  PG_CATCH();
  {
    MemoryContextSwitchTo(context);
    error = CopyErrorData();
    FlushErrorState();
  }
  PG_END_TRY();
  RollbackAndReleaseCurrentSubTransaction();
  MemoryContextSwitchTo(context);
  CurrentResourceOwner = owner;
  if (error != nullptr) ReThrowError(error);
}

}  // namespace conveyor::migrate
