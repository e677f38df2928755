#include "fetch/feed.hpp"

#include "fetch/owner.hpp"

extern "C" {
#include "access/stratnum.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "executor/spi.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
}

namespace conveyor {

namespace {

constexpr const char* kLookup =
    "SELECT f.feed, f.document_view::oid, f.key, f.key_types::oid[], f.root::oid, f.root_key, f.search_path,"
    "       f.owner::oid, (SELECT i.epoch FROM conveyor.identity AS i), s.cursor"
    "  FROM conveyor.delivery_definition AS d"
    "  JOIN conveyor.feed_definition AS f ON f.feed = d.feed"
    "  JOIN conveyor.delivery_state AS s ON s.delivery = d.delivery"
    " WHERE d.delivery = $1";

enum LookupColumn { kFeed = 1, kView, kKey, kKeyTypes, kRoot, kRootKey, kSearchPath, kOwner, kEpoch, kCursor };

Datum column(LookupColumn number, bool* null) {
  return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, number, null);
}

Datum required(LookupColumn number) {
  bool null;
  Datum value = column(number, &null);
  if (null)
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                    errmsg("definition of a feed lacks \"%s\"", SPI_fname(SPI_tuptable->tupdesc, number)),
                    errhint("Drop the feed and create it again: SELECT conveyor.drop_feed(...).")));
  return value;
}

char** text_array(Datum array, int* count) {
  Datum* items;
  deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &items, nullptr, count);
  char** texts = static_cast<char**>(palloc(sizeof(char*) * (*count + 1)));
  for (int i = 0; i < *count; i++) texts[i] = TextDatumGetCString(items[i]);
  return texts;
}

char* operator_name(Oid oid) {
  HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(oid));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for operator %u", oid);
  Form_pg_operator form = reinterpret_cast<Form_pg_operator>(GETSTRUCT(tuple));
  char* name =
      psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)), NameStr(form->oprname));
  ReleaseSysCache(tuple);
  return name;
}

Feed* read_row(const char* delivery) {
  Feed* feed = static_cast<Feed*>(palloc0(sizeof(Feed)));
  feed->delivery = pstrdup(delivery);
  feed->name = TextDatumGetCString(required(kFeed));
  feed->view = DatumGetObjectId(required(kView));
  feed->owner = DatumGetObjectId(required(kOwner));
  feed->search_path = TextDatumGetCString(required(kSearchPath));
  feed->epoch = DatumGetInt32(required(kEpoch));

  bool null;
  Datum cursor = column(kCursor, &null);
  if (!null) feed->cursor = snapshot_value(PointerGetDatum(PG_DETOAST_DATUM_COPY(cursor)));

  int types;
  Datum* type;
  deconstruct_array(DatumGetArrayTypeP(required(kKeyTypes)), OIDOID, sizeof(Oid), true, TYPALIGN_INT, &type, nullptr,
                    &types);
  char** names = text_array(required(kKey), &feed->keys);
  if (feed->keys != types || feed->keys == 0)
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("definition of feed \"%s\" has %d key columns and %d types",
                                                            feed->name, feed->keys, types)));
  feed->key = static_cast<KeyColumn*>(palloc(sizeof(KeyColumn) * feed->keys));
  for (int i = 0; i < feed->keys; i++) feed->key[i] = key_column(names[i], DatumGetObjectId(type[i]));

  Datum root = column(kRoot, &null);
  if (!null && OidIsValid(DatumGetObjectId(root))) {
    int columns;
    feed->root = DatumGetObjectId(root);
    feed->root_key = text_array(required(kRootKey), &columns);
    if (columns != feed->keys)
      ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                      errmsg("definition of feed \"%s\" has %d key columns and %d in its root", feed->name, feed->keys,
                             columns)));
  }
  return feed;
}

void name_relations(Feed* feed) {
  feed->view_name = relation_name(feed->view);
  if (feed->view_name == nullptr)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("document view of feed \"%s\" does not exist", feed->name),
                    errhint("Drop the feed, or create the view and the feed again: SELECT conveyor.drop_feed(%s).",
                            quote_literal_cstr(feed->name))));
  if (!OidIsValid(feed->root)) return;
  feed->root_name = relation_name(feed->root);
  if (feed->root_name == nullptr)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("root table of feed \"%s\" does not exist", feed->name),
                    errhint("Drop the feed and create it again: SELECT conveyor.drop_feed(%s).",
                            quote_literal_cstr(feed->name))));
}

}  // namespace

Oid function_owner(Oid function) {
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for function %u", function);
  Oid owner = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple))->proowner;
  ReleaseSysCache(tuple);
  return owner;
}

char* relation_name(Oid relation) {
  char* name = get_rel_name(relation);
  if (name == nullptr) return nullptr;
  return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), name);
}

KeyColumn key_column(const char* name, Oid type) {
  return key_column_for("a document key", name, type,
                        psprintf("Cast the column in the view, for example %s::text.", quote_identifier(name)));
}

KeyColumn key_column_for(const char* purpose, const char* name, Oid type, const char* hint) {
  Oid base = getBaseType(type);
  TypeCacheEntry* entry = lookup_type_cache(base, TYPECACHE_EQ_OPR | TYPECACHE_BTREE_OPFAMILY);
  if (!OidIsValid(entry->eq_opr) || !OidIsValid(entry->btree_opf) || !OidIsValid(get_array_type(base)) ||
      get_typtype(base) == TYPTYPE_PSEUDO)
    ereport(ERROR,
            (errcode(ERRCODE_DATATYPE_MISMATCH),
             errmsg("column \"%s\" of type %s cannot be %s", name, format_type_be(type), purpose),
             errdetail("A key's type needs an array type and a default btree operator class."), errhint("%s", hint)));
  auto strategy = [&](int16 number) {
    return operator_name(get_opfamily_member(entry->btree_opf, entry->btree_opintype, entry->btree_opintype, number));
  };
  KeyColumn key;
  key.name = pstrdup(name);
  key.type = base;
  key.type_name = format_type_be_qualified(base);
  key.less = strategy(BTLessStrategyNumber);
  key.less_equal = strategy(BTLessEqualStrategyNumber);
  key.equal = strategy(BTEqualStrategyNumber);
  key.greater_equal = strategy(BTGreaterEqualStrategyNumber);
  key.greater = strategy(BTGreaterStrategyNumber);
  key.exact = is_exact_type(base);
  return key;
}

bool is_exact_type(Oid type) {
  switch (type) {
    case INT2OID:
    case INT4OID:
    case INT8OID:
    case OIDOID:
    case TEXTOID:
    case VARCHAROID:
    case NAMEOID:
    case UUIDOID:
    case DATEOID:
    case TIMEOID:
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
    case BOOLOID:
    case BYTEAOID:
      return true;
    default:
      return get_typtype(type) == TYPTYPE_ENUM;
  }
}

Feed* feed_lookup(const char* delivery, Oid reader) {
  MemoryContext caller = CurrentMemoryContext;
  Scope scope = scope_enter_internal(reader);
  SPI_connect();
  PushActiveSnapshot(GetLatestSnapshot());

  static SPIPlanPtr plan = nullptr;
  if (plan == nullptr) {
    Oid types[] = {TEXTOID};
    plan = SPI_prepare(kLookup, 1, types);
    if (plan == nullptr)
      elog(ERROR, "could not prepare the look-up of a delivery: %s", SPI_result_code_string(SPI_result));
    SPI_keepplan(plan);
  }
  Datum values[] = {CStringGetTextDatum(delivery)};
  if (SPI_execute_plan(plan, values, nullptr, true, 1) != SPI_OK_SELECT) elog(ERROR, "could not look up a delivery");
  if (SPI_processed == 0)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("delivery \"%s\" does not exist", delivery),
                    errhint("SELECT delivery FROM conveyor.delivery_status; lists those there are.")));

  MemoryContext spi = MemoryContextSwitchTo(caller);
  Feed* feed = read_row(delivery);
  MemoryContextSwitchTo(spi);

  PopActiveSnapshot();
  SPI_finish();
  scope_leave(&scope);
  name_relations(feed);
  return feed;
}

}  // namespace conveyor
