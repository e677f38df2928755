#include "capture/watch_cache.hpp"

#include "log/entry.hpp"

extern "C" {
#include "catalog/pg_inherits.h"
#include "utils/hsearch.h"
#include "utils/regproc.h"
}

namespace conveyor {

namespace {

// Arguments of the trigger conveyor_capture.
enum { arg_capture, arg_columns, arg_recorded, arg_nullable, arg_types, arg_count };

HTAB* watches = nullptr;

void forget(Datum, Oid relation) {
  if (watches == nullptr) return;
  HASH_SEQ_STATUS all;
  hash_seq_init(&all, watches);
  while (auto* watch = static_cast<Watch*>(hash_seq_search(&all))) {
    if (!OidIsValid(relation) || watch->relation == relation) watch->valid = false;
  }
}

ArrayType* array_argument(const Trigger* trigger, int argument, Oid element) {
  return DatumGetArrayTypeP(OidInputFunctionCall(F_ARRAY_IN, trigger->tgargs[argument], element, -1));
}

// Resolves column names; says in `broken` what is missing.
WatchedColumn* columns_named(Watch* watch, Relation relation, ArrayType* names, int* count) {
  Datum* name;
  deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &name, nullptr, count);
  auto* columns = static_cast<WatchedColumn*>(palloc0(sizeof(WatchedColumn) * Max(*count, 1)));
  for (int i = 0; i < *count; i++) {
    char* wanted = TextDatumGetCString(name[i]);
    AttrNumber number = get_attnum(RelationGetRelid(relation), wanted);
    if (number <= 0) {
      watch->broken = psprintf("column \"%s\" does not exist any more", wanted);
      return columns;
    }
    Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), number - 1);
    columns[i] = {number, attribute->attlen, attribute->attbyval};
    watch->last = Max(watch->last, number);
  }
  return columns;
}

// Readers decode by the capture's row: a trigger with other arguments, or a column that has another type now, would
// write what they cannot read.
void check_types(Watch* watch, Relation relation, const CaptureDefinition* definition, ArrayType* types) {
  Datum* type;
  int count;
  deconstruct_array(types, OIDOID, sizeof(Oid), true, TYPALIGN_INT, &type, nullptr, &count);
  if (count != watch->nrecorded || count != definition->ncolumns || watch->nullable != definition->nullable) {
    watch->broken = "the capture trigger is not the one of its definition";
  }
  for (int i = 0; i < watch->nrecorded && watch->broken == nullptr; i++) {
    Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), watch->recorded[i].number - 1);
    if (DatumGetObjectId(type[i]) != definition->columns[i].type) {
      watch->broken = "the capture trigger is not the one of its definition";
    } else if (attribute->atttypid != definition->columns[i].type) {
      watch->broken = psprintf("column \"%s\" has another type now", NameStr(attribute->attname));
    }
  }
}

// Is the table what the definition is about, or a part of it?
bool concerns(const CaptureDefinition* definition, Relation relation) {
  return definition != nullptr && (definition->relation == RelationGetRelid(relation) ||
                                   typeInheritsFrom(relation->rd_rel->reltype, get_rel_type_id(definition->relation)));
}

void build(Watch* watch, const Trigger* trigger, Relation relation) {
  watch->relation = RelationGetRelid(relation);
  watch->broken = nullptr;
  watch->last = 0;
  watch->capture = pg_strtoint32(trigger->tgargs[arg_capture]);
  const CaptureDefinition* definition = find_capture(watch->capture);
  watch->stray = !concerns(definition, relation);
  if (watch->stray) return;
  watch->nullable = trigger->tgargs[arg_nullable][0] == 't';
  watch->compared = columns_named(watch, relation, array_argument(trigger, arg_columns, TEXTOID), &watch->ncompared);
  if (watch->broken != nullptr) return;
  watch->recorded = columns_named(watch, relation, array_argument(trigger, arg_recorded, TEXTOID), &watch->nrecorded);
  if (watch->broken != nullptr) return;
  check_types(watch, relation, definition, array_argument(trigger, arg_types, OIDOID));
  watch->plain = !watch->nullable;
  for (int i = 0; i < watch->nrecorded; i++) watch->plain &= watch->recorded[i].byval;
}

// Triggers come and go with partitions and definitions. When the table has doubled, those not in use leave it; one that
// is still there is built anew when it fires again.
void forget_dropped() {
  static long limit = 128;
  if (hash_get_num_entries(watches) < limit) return;
  HASH_SEQ_STATUS all;
  hash_seq_init(&all, watches);
  while (auto* watch = static_cast<Watch*>(hash_seq_search(&all))) {
    if (watch->valid) continue;
    if (watch->context != nullptr) MemoryContextDelete(watch->context);
    hash_search(watches, &watch->trigger, HASH_REMOVE, nullptr);
  }
  limit = Max(128, 2 * hash_get_num_entries(watches));
}

const Watch* rebuild(TriggerData* data) {
  const Trigger* trigger = data->tg_trigger;
  if (trigger->tgnargs != arg_count) {
    ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
            errmsg("trigger \"%s\" on table \"%s\" has %d arguments instead of %d", trigger->tgname,
                   RelationGetRelationName(data->tg_relation), trigger->tgnargs, static_cast<int>(arg_count)),
            errhint("Run SELECT conveyor.install_capture(%s::regclass).",
                    quote_literal_cstr(RelationGetRelationName(data->tg_relation))));
  }
  if (watches == nullptr) {
    HASHCTL control = {};
    control.keysize = sizeof(Oid);
    control.entrysize = sizeof(Watch);
    watches = hash_create("pg_conveyor watches", 64, &control, HASH_ELEM | HASH_BLOBS);
  }
  forget_dropped();
  bool found;
  auto* watch = static_cast<Watch*>(hash_search(watches, &trigger->tgoid, HASH_ENTER, &found));
  if (!found) {
    Oid key = watch->trigger;
    *watch = Watch{};
    watch->trigger = key;
  }
  if (watch->context == nullptr) {
    watch->context = AllocSetContextCreate(TopMemoryContext, "pg_conveyor watch", ALLOCSET_SMALL_SIZES);
  }
  watch->valid = false;
  MemoryContextReset(watch->context);
  MemoryContext before = MemoryContextSwitchTo(watch->context);
  // Name look-ups may let an invalidation in; the table is locked, so it cannot be about its columns.
  build(watch, trigger, data->tg_relation);
  MemoryContextSwitchTo(before);
  watch->valid = true;
  return watch;
}

}  // namespace

bool is_captured(Relation relation, int32 capture) { return concerns(find_capture(capture), relation); }

void follow_watches() { CacheRegisterRelcacheCallback(forget, static_cast<Datum>(0)); }

const Watch* watch_of(TriggerData* trigger) {
  static const Watch* last = nullptr;
  if (last != nullptr && last->valid && last->trigger == trigger->tg_trigger->tgoid) return last;
  if (watches != nullptr) {
    last = static_cast<Watch*>(hash_search(watches, &trigger->tg_trigger->tgoid, HASH_FIND, nullptr));
    if (last != nullptr && last->valid) return last;
  }
  last = rebuild(trigger);
  return last;
}

}  // namespace conveyor
