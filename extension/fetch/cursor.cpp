#include "fetch/cursor.hpp"

extern "C" {
#include "tcop/dest.h"
#include "tcop/pquery.h"
}

namespace conveyor {

namespace {

struct RowReceiver {
  DestReceiver base;
  TakeRow take;
  void* taker;
  bool stopped;
};

bool receive(TupleTableSlot* slot, DestReceiver* base) {
  RowReceiver* receiver = reinterpret_cast<RowReceiver*>(base);
  if (receiver->take(receiver->taker, slot)) return true;
  receiver->stopped = true;
  return false;
}

void startup(DestReceiver*, int, TupleDesc) {}
void nothing(DestReceiver*) {}

}  // namespace

void cursor_open(Cursor* cursor, SPIPlanPtr plan, Datum* values, const char* nulls) {
  Assert(!cursor_is_open(cursor));
  Portal portal = SPI_cursor_open(nullptr, plan, values, nulls, true);
  strlcpy(cursor->name, portal->name, sizeof cursor->name);
  // The executor has its environment (relations of a key query) by now. What the portal says of it only makes
  // SPI_finish() drop the portal, on the assumption that the environment goes then; ours lives as long as the cursor.
  portal->queryEnv = nullptr;
}

bool cursor_run(Cursor* cursor, TakeRow take, void* taker) {
  Portal portal = GetPortalByName(cursor->name);
  if (!PortalIsValid(portal))
    ereport(ERROR, (errcode(ERRCODE_INVALID_CURSOR_STATE), errmsg("cursor of the answer under way does not exist"),
                    errhint("Something that the document view calls has closed all cursors.")));
  RowReceiver receiver = {};
  receiver.base.receiveSlot = receive;
  receiver.base.rStartup = startup;
  receiver.base.rShutdown = nothing;
  receiver.base.rDestroy = nothing;
  receiver.base.mydest = DestNone;
  receiver.take = take;
  receiver.taker = taker;
  PortalRunFetch(portal, FETCH_FORWARD, FETCH_ALL, &receiver.base);
  if (receiver.stopped) {
    // Asked for all rows, the portal believes that it has come to its end, but the executor stands where it was told
    // to stop and goes on from there.
    portal->atEnd = false;
    return false;
  }
  cursor_close(cursor);
  return true;
}

void cursor_close(Cursor* cursor) {
  if (!cursor_is_open(cursor)) return;
  Portal portal = GetPortalByName(cursor->name);
  cursor->name[0] = '\0';
  if (PortalIsValid(portal)) PortalDrop(portal, false);
}

}  // namespace conveyor
