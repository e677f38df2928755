#include "window/watches.hpp"

#include "fetch/owner.hpp"
#include "window/key_text.hpp"

#include <algorithm>

extern "C" {
#include "executor/spi.h"
}

namespace conveyor {

namespace {

constexpr const char* kCaptures =
    "SELECT c.capture FROM conveyor.capture AS c"
    " WHERE c.relation IN (SELECT w.relation::oid FROM conveyor.watch AS w WHERE w.feed = $1) ORDER BY c.capture";

constexpr const char* kWatches =
    "SELECT w.relation::oid, w.documents, w.recorded FROM conveyor.watch AS w WHERE w.feed = $1 ORDER BY "
    "w.relation::oid";

struct Watch {
  Oid relation;
  char* documents;
  int columns;
  char** names;
};

void run(const char* sql, const char* feed) {
  Oid types[] = {TEXTOID};
  Datum values[] = {CStringGetTextDatum(feed)};
  if (SPI_execute_with_args(sql, 1, types, values, nullptr, true, 0) != SPI_OK_SELECT)
    elog(ERROR, "could not read the watches of feed \"%s\"", feed);
}

Datum value(uint64 row, int column) {
  bool null;
  return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &null);
}

void load_captures(Watches* watches, const Feed* feed, MemoryContext context) {
  run(kCaptures, feed->name);
  MemoryContext old = MemoryContextSwitchTo(context);
  watches->captures = static_cast<int>(SPI_processed);
  watches->capture = static_cast<WindowCapture*>(palloc0(sizeof(WindowCapture) * (watches->captures + 1)));
  for (int i = 0; i < watches->captures; i++) {
    watches->capture[i].definition = capture_definition(DatumGetInt32(value(i, 1)));
    key_set_init(&watches->capture[i].entries);
  }
  MemoryContextSwitchTo(old);
}

Watch* load_watches(const Feed* feed, int* count, MemoryContext context) {
  run(kWatches, feed->name);
  MemoryContext old = MemoryContextSwitchTo(context);
  *count = static_cast<int>(SPI_processed);
  Watch* watches = static_cast<Watch*>(palloc(sizeof(Watch) * (*count + 1)));
  for (int i = 0; i < *count; i++) {
    watches[i].relation = DatumGetObjectId(value(i, 1));
    watches[i].documents = TextDatumGetCString(value(i, 2));
    Datum* names;
    deconstruct_array(DatumGetArrayTypeP(value(i, 3)), TEXTOID, -1, false, TYPALIGN_INT, &names, nullptr,
                      &watches[i].columns);
    watches[i].names = static_cast<char**>(palloc(sizeof(char*) * (watches[i].columns + 1)));
    for (int j = 0; j < watches[i].columns; j++) watches[i].names[j] = TextDatumGetCString(names[j]);
  }
  MemoryContextSwitchTo(old);
  return watches;
}

// The columns of `changed` among those of the capture; NULL where one is missing: the capture belongs to a time before
// the watch, whose deliveries have been told to re-check.
int* map_columns(const Watch& watch, const CaptureDefinition* capture) {
  int* mapping = static_cast<int*>(palloc(sizeof(int) * (watch.columns + 1)));
  for (int i = 0; i < watch.columns; i++) {
    const CapturedColumn* first = capture->columns;
    const CapturedColumn* end = first + capture->ncolumns;
    const CapturedColumn* column =
        std::find_if(first, end, [&](const CapturedColumn& c) { return strcmp(c.name, watch.names[i]) == 0; });
    if (column == end) return nullptr;
    mapping[i] = static_cast<int>(column - first);
  }
  return mapping;
}

// Values that were recorded in a type which the column no longer has cannot be followed.
const char* changed_type(const Watch& watch, const CaptureDefinition* capture, const int* mapping) {
  for (int i = 0; i < watch.columns; i++) {
    AttrNumber number = get_attnum(watch.relation, watch.names[i]);
    if (number == InvalidAttrNumber) continue;  // gone; what was recorded can still be followed
    Oid recorded = capture->columns[mapping[i]].type;
    if (getBaseType(get_atttype(watch.relation, number)) != getBaseType(recorded))
      return psprintf("column \"%s\" of %s has changed its type", watch.names[i], relation_name(watch.relation));
  }
  return nullptr;
}

int* plain_key(const Feed* feed, const Watch& watch, const CaptureDefinition* capture, const int* mapping) {
  int* plain = plain_columns(watch.documents, watch.names, watch.columns, feed->keys);
  if (plain == nullptr) return nullptr;
  for (int i = 0; i < feed->keys; i++) {
    Oid type = getBaseType(capture->columns[mapping[plain[i]]].type);
    if (type != feed->key[i].type || !key_text_is_output(type)) return nullptr;
  }
  return plain;
}

}  // namespace

Watches* watches_load(const Feed* feed, Oid reader) {
  MemoryContext context = CurrentMemoryContext;
  Watches* watches = static_cast<Watches*>(palloc0(sizeof(Watches)));
  Scope scope = scope_enter_internal(reader);
  SPI_connect();
  PushActiveSnapshot(GetLatestSnapshot());
  load_captures(watches, feed, context);
  int count;
  Watch* watch = load_watches(feed, &count, context);
  PopActiveSnapshot();
  SPI_finish();
  scope_leave(&scope);

  watches->pair = static_cast<WatchedCapture*>(palloc(sizeof(WatchedCapture) * (watches->captures * count + 1)));
  for (int i = 0; i < count; i++) {
    for (int j = 0; j < watches->captures; j++) {
      WindowCapture* capture = &watches->capture[j];
      if (capture->definition->relation != watch[i].relation) continue;
      int* mapping = map_columns(watch[i], capture->definition);
      if (mapping == nullptr) continue;
      if (const char* reason = changed_type(watch[i], capture->definition, mapping); reason != nullptr) {
        capture->lost = reason;
        continue;
      }
      capture->used = true;
      watches->pair[watches->pairs++] = {capture,
                                         watch[i].relation,
                                         watch[i].documents,
                                         watch[i].columns,
                                         watch[i].names,
                                         mapping,
                                         plain_key(feed, watch[i], capture->definition, mapping)};
    }
  }
  return watches;
}

WindowCapture* watches_capture(Watches* watches, int32 number) {
  WindowCapture* end = watches->capture + watches->captures;
  WindowCapture* found =
      std::lower_bound(watches->capture, end, number,
                       [](const WindowCapture& capture, int32 wanted) { return capture.definition->capture < wanted; });
  return found != end && found->definition->capture == number ? found : nullptr;
}

}  // namespace conveyor
