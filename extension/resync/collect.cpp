// collect_keys(request, delivery, query, search_path): runs a resync's query and stores its keys page by page.
//
// One pass over a cursor: a page of values is copied out of it, the cursor rests while the page's ids are written and
// stored, and goes on. So memory holds a page, whatever the query returns.
#include "fetch/cursor.hpp"
#include "fetch/keys.hpp"
#include "fetch/owner.hpp"
#include "resync/ids.hpp"
#include "resync/key_query.hpp"

extern "C" {
#include "utils/datum.h"
}

namespace conveyor {

namespace {

constexpr int kPageKeys = 1000;
constexpr Size kPageBytes = 256 * 1024;

struct KeyPage {
  MemoryContext context;
  int columns;
  Oid types[INDEX_MAX_KEYS];
  int16 lengths[INDEX_MAX_KEYS];
  bool byval[INDEX_MAX_KEYS];
  char align[INDEX_MAX_KEYS];
  Datum* values[INDEX_MAX_KEYS];
  int count;
  Size bytes;
};

KeyPage* page_make(const KeyQuery* query, const Feed* feed) {
  KeyPage* page = static_cast<KeyPage*>(palloc0(sizeof(KeyPage)));
  page->context = AllocSetContextCreate(CurrentMemoryContext, "page of keys", ALLOCSET_DEFAULT_SIZES);
  page->columns = query->columns;
  if (page->columns > INDEX_MAX_KEYS) elog(ERROR, "too many key columns");
  for (int i = 0; i < page->columns; i++) {
    page->types[i] = query->ids ? TEXTOID : feed->key[i].type;
    get_typlenbyvalalign(page->types[i], &page->lengths[i], &page->byval[i], &page->align[i]);
    page->values[i] = static_cast<Datum*>(palloc(sizeof(Datum) * kPageKeys));
  }
  return page;
}

bool take(void* taker, TupleTableSlot* slot) {
  KeyPage* page = static_cast<KeyPage*>(taker);
  MemoryContext old = MemoryContextSwitchTo(page->context);
  for (int i = 0; i < page->columns; i++) {
    bool null;
    Datum value = slot_getattr(slot, i + 1, &null);
    if (null)
      ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("query of a resync returned a key that is null"),
                      errdetail("No document has such a key."),
                      errhint("Leave such rows out, for example by WHERE ... IS NOT NULL.")));
    if (page->lengths[i] == -1) value = PointerGetDatum(PG_DETOAST_DATUM(value));
    page->values[i][page->count] = datumCopy(value, page->byval[i], page->lengths[i]);
    page->bytes += datumGetSize(value, page->byval[i], page->lengths[i]);
  }
  MemoryContextSwitchTo(old);
  page->count++;
  return page->count < kPageKeys && page->bytes < kPageBytes;
}

// Runs the cursor until the page is full; true at its end.
bool fill(Cursor* cursor, KeyPage* page, const char* search_path) {
  MemoryContextReset(page->context);
  page->count = 0;
  page->bytes = 0;
  Scope scope = scope_enter_caller(search_path);
  bool before = read_only_enter();
  bool end = cursor_run(cursor, take, page);
  read_only_leave(before);
  scope_leave(&scope);
  return end;
}

// Ids in a text column are checked like those of a file.
Datum* values_of_ids(const KeyPage* page, const Feed* feed) {
  char** texts = static_cast<char**>(palloc(sizeof(char*) * (page->count + 1)));
  const char** problems = static_cast<const char**>(palloc(sizeof(char*) * (page->count + 1)));
  for (int i = 0; i < page->count; i++) texts[i] = TextDatumGetCString(page->values[0][i]);
  Scope scope = scope_enter_feed(feed);
  Datum* arrays = parse_ids(feed, texts, page->count, problems);
  scope_leave(&scope);
  for (int i = 0; i < page->count; i++)
    if (problems[i] != nullptr)
      ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
                      errmsg("query of a resync returned \"%s\", which is no id of feed \"%s\"", texts[i], feed->name),
                      errdetail("%s", problems[i])));
  return arrays;
}

Datum* arrays_of(const KeyPage* page) {
  Datum* arrays = static_cast<Datum*>(palloc(sizeof(Datum) * page->columns));
  for (int i = 0; i < page->columns; i++)
    arrays[i] = PointerGetDatum(construct_array(page->values[i], page->count, page->types[i], page->lengths[i],
                                                page->byval[i], page->align[i]));
  return arrays;
}

// With the rights of whoever owns the extension's tables; it asks whether the caller may.
void store(int64 request, Datum ids) {
  Oid types[] = {INT8OID, TEXTARRAYOID};
  Datum values[] = {Int64GetDatum(request), ids};
  if (SPI_execute_with_args("SELECT conveyor.load_page($1, $2)", 2, types, values, nullptr, false, 1) != SPI_OK_SELECT)
    elog(ERROR, "could not store a page of keys");
}

// The first error is raised; what merely surprises is said.
void require_good(const KeyQuery* query) {
  ListCell* cell;
  foreach (cell, query->findings) {
    const Finding* finding = static_cast<Finding*>(lfirst(cell));
    if (finding->error)
      ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", finding->problem),
                      finding->remedy != nullptr ? errhint("%s", finding->remedy) : 0));
  }
  foreach (cell, query->findings) {
    const Finding* finding = static_cast<Finding*>(lfirst(cell));
    ereport(WARNING, (errmsg("%s", finding->problem), finding->remedy != nullptr ? errhint("%s", finding->remedy) : 0));
  }
}

}  // namespace

}  // namespace conveyor

CONVEYOR_FUNCTION(collect_keys) {
  using namespace conveyor;
  int64 request = PG_GETARG_INT64(0);
  Feed* feed = feed_lookup(text_to_cstring(PG_GETARG_TEXT_PP(1)), function_owner(fcinfo->flinfo->fn_oid));
  const char* given = text_to_cstring(PG_GETARG_TEXT_PP(2));
  const char* search_path = text_to_cstring(PG_GETARG_TEXT_PP(3));

  SPI_connect();
  Cursor cursor = {};
  Scope scope = scope_enter_caller(search_path);
  KeyQuery query = examine_key_query(given, feed);
  require_good(&query);
  try_key_query(&query, feed);
  bool before = read_only_enter();
  SPIPlanPtr plan = SPI_prepare_cursor(key_query_sql(&query, feed, false), 0, nullptr, CURSOR_OPT_NO_SCROLL);
  if (plan == nullptr) elog(ERROR, "could not prepare the query: %s", SPI_result_code_string(SPI_result));
  cursor_open(&cursor, plan, nullptr, nullptr);
  read_only_leave(before);
  scope_leave(&scope);

  IdWriter writer;
  id_writer_init(&writer, feed);
  KeyPage* page = page_make(&query, feed);
  MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "ids of a page", ALLOCSET_DEFAULT_SIZES);
  int64 keys = 0;
  for (bool end = false; !end;) {
    CHECK_FOR_INTERRUPTS();
    end = fill(&cursor, page, search_path);
    if (page->count == 0) break;
    MemoryContext old = MemoryContextSwitchTo(work);
    Datum ids = ids_of(&writer, query.ids ? values_of_ids(page, feed) : arrays_of(page));
    SPITupleTable* written = SPI_tuptable;
    store(request, ids);
    SPI_freetuptable(SPI_tuptable);
    SPI_freetuptable(written);
    MemoryContextSwitchTo(old);
    MemoryContextReset(work);
    keys += page->count;
  }
  SPI_finish();
  PG_RETURN_INT64(keys);
}
