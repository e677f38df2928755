// The trigger functions. The row trigger is the hot path of every write to a watched table: no allocation, no catalog
// look-up, no lock once the watch is cached.
#include "capture/image.hpp"
#include "capture/watch_cache.hpp"
#include "settings.hpp"

extern "C" {
#include "executor/tuptable.h"
}

namespace conveyor {

namespace {

TriggerData* trigger_data(FunctionCallInfo fcinfo, const char* function) {
  if (!CALLED_AS_TRIGGER(fcinfo)) {
    ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
            errmsg("function \"conveyor.%s\" was not called by a trigger", function),
            errhint("Triggers are made by SELECT conveyor.install_capture(relation)."));
  }
  return reinterpret_cast<TriggerData*>(fcinfo->context);
}

// Does the UPDATE change anything that is watched?
bool changed(const Watch* watch, const TupleTableSlot* before, const TupleTableSlot* after) {
  for (int i = 0; i < watch->ncompared; i++) {
    const WatchedColumn* column = &watch->compared[i];
    int at = column->number - 1;
    if (!same_image(column, before->tts_values[at], before->tts_isnull[at], after->tts_values[at],
                    after->tts_isnull[at])) {
      return true;
    }
  }
  return false;
}

void capture_slot(const Watch* watch, TupleTableSlot* slot) {
  slot_getsomeattrs(slot, watch->last);
  capture_image(watch, slot->tts_values, slot->tts_isnull);
}

void capture_update(const Watch* watch, TupleTableSlot* before, TupleTableSlot* after) {
  slot_getsomeattrs(before, watch->last);
  slot_getsomeattrs(after, watch->last);
  if (!changed(watch, before, after)) return;
  // Equal images become one entry in the buffer.
  capture_image(watch, before->tts_values, before->tts_isnull);
  capture_image(watch, after->tts_values, after->tts_isnull);
}

}  // namespace

CONVEYOR_FUNCTION(capture) {
  TriggerData* data = trigger_data(fcinfo, "capture");
  if (!TRIGGER_FIRED_FOR_ROW(data->tg_event) || !TRIGGER_FIRED_AFTER(data->tg_event)) {
    ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
            errmsg("trigger \"%s\" must fire AFTER and FOR EACH ROW", data->tg_trigger->tgname),
            errhint("Triggers are made by SELECT conveyor.install_capture(relation)."));
  }
  const Watch* watch = watch_of(data);
  if (unlikely(watch->stray)) return PointerGetDatum(nullptr);
  if (unlikely(watch->broken != nullptr)) {
    capture_signal(watch->capture, LogKind::recheck, watch->broken);
  } else if (TRIGGER_FIRED_BY_UPDATE(data->tg_event)) {
    capture_update(watch, data->tg_trigslot, data->tg_newslot);
  } else {
    capture_slot(watch, data->tg_trigslot);
  }
  return PointerGetDatum(nullptr);
}

CONVEYOR_FUNCTION(capture_truncate) {
  TriggerData* data = trigger_data(fcinfo, "capture_truncate");
  if (!TRIGGER_FIRED_BY_TRUNCATE(data->tg_event) || data->tg_trigger->tgnargs != 1) {
    ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
            errmsg("trigger \"%s\" must fire on TRUNCATE and have one argument", data->tg_trigger->tgname),
            errhint("Triggers are made by SELECT conveyor.install_capture(relation)."));
  }
  int32 capture = pg_strtoint32(data->tg_trigger->tgargs[0]);
  if (is_captured(data->tg_relation, capture)) capture_signal(capture, LogKind::truncated, nullptr);
  return PointerGetDatum(nullptr);
}

// conveyor.is_installing(): is the DDL under way our own?
CONVEYOR_FUNCTION(is_installing) { PG_RETURN_BOOL(settings.installing); }

// conveyor.log_signal(capture, reason): the relation's contents may have changed without a row trigger.
CONVEYOR_FUNCTION(log_signal) {
  capture_signal(PG_GETARG_INT32(0), LogKind::recheck, text_to_cstring(PG_GETARG_TEXT_PP(1)));
  PG_RETURN_VOID();
}

}  // namespace conveyor
