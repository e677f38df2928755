#include "log/entry.hpp"

#include "log/segments.hpp"
#include "log/varint.hpp"

namespace conveyor {

namespace {

enum CaptureColumn { col_capture = 1, col_relation, col_columns, col_recorded, col_types, col_nullable };

[[noreturn]] void damaged(int32 capture) {
  ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED), errmsg("damaged entry of capture %d in the change log", capture));
  pg_unreachable();
}

void read_columns(CaptureDefinition* definition, ArrayType* names, ArrayType* types) {
  Datum *name, *type;
  int names_count, types_count;
  deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &name, nullptr, &names_count);
  deconstruct_array(types, OIDOID, sizeof(Oid), true, TYPALIGN_INT, &type, nullptr, &types_count);
  if (names_count != types_count) {
    ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
            errmsg("capture %d has %d recorded columns and %d types", definition->capture, names_count, types_count));
  }
  definition->ncolumns = names_count;
  definition->columns = static_cast<CapturedColumn*>(palloc(sizeof(CapturedColumn) * Max(names_count, 1)));
  for (int i = 0; i < names_count; i++) {
    CapturedColumn* column = &definition->columns[i];
    column->name = TextDatumGetCString(name[i]);
    column->type = DatumGetObjectId(type[i]);
    get_typlenbyval(column->type, &column->typlen, &column->byval);
  }
}

const char* skip_column(const CaptureDefinition* definition, const CapturedColumn* column, const char* at,
                        const char* end) {
  uint64 value;
  if (column->byval) {
    if (!get_varint(at, end, value)) damaged(definition->capture);
    return at;
  }
  if (!get_varint(at, end, value) || value > static_cast<uint64>(end - at)) damaged(definition->capture);
  return at + value;
}

Datum by_value(const CapturedColumn* column, uint64 encoded) {
  int64 value = unzigzag(encoded);
  switch (column->typlen) {
    case 1:
      return CharGetDatum(static_cast<char>(value));
    case 2:
      return Int16GetDatum(static_cast<int16>(value));
    case 4:
      return Int32GetDatum(static_cast<int32>(value));
    default:
      return static_cast<Datum>(value);
  }
}

Datum by_reference(const CapturedColumn* column, const char* bytes, Size length) {
  if (column->typlen == -1) return PointerGetDatum(cstring_to_text_with_len(bytes, static_cast<int>(length)));
  auto* copy = static_cast<char*>(palloc(length + 1));
  memcpy(copy, bytes, length);
  copy[length] = '\0';
  return PointerGetDatum(copy);
}

bool is_null(const char* bitmap, int column) { return (bitmap[column / 8] & (1 << (column % 8))) != 0; }

}  // namespace

const CaptureDefinition* find_capture(int32 capture) {
  Oid oid = extension_table("capture");
  if (!OidIsValid(oid)) return nullptr;
  Relation table = table_open(oid, AccessShareLock);
  Relation index = relation_open(extension_table("capture_pkey"), AccessShareLock);
  Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
  ScanKeyData key;
  ScanKeyInit(&key, col_capture, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(capture));
  SysScanDesc scan = systable_beginscan(table, RelationGetRelid(index), true, snapshot, 1, &key);
  HeapTuple row = systable_getnext(scan);
  CaptureDefinition* definition = nullptr;
  if (HeapTupleIsValid(row)) {
    TupleDesc shape = RelationGetDescr(table);
    bool null;
    definition = static_cast<CaptureDefinition*>(palloc(sizeof(CaptureDefinition)));
    definition->capture = capture;
    definition->relation = DatumGetObjectId(heap_getattr(row, col_relation, shape, &null));
    definition->nullable = DatumGetBool(heap_getattr(row, col_nullable, shape, &null));
    read_columns(definition, DatumGetArrayTypePCopy(heap_getattr(row, col_recorded, shape, &null)),
                 DatumGetArrayTypePCopy(heap_getattr(row, col_types, shape, &null)));
  }
  systable_endscan(scan);
  UnregisterSnapshot(snapshot);
  relation_close(index, AccessShareLock);
  table_close(table, AccessShareLock);
  return definition;
}

const CaptureDefinition* capture_definition(int32 capture) {
  const CaptureDefinition* definition = find_capture(capture);
  if (definition == nullptr) {
    ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("capture %d does not exist", capture));
  }
  return definition;
}

bool entry_bytes(EntryReader* reader, const char** bytes, int32* length) {
  const CaptureDefinition* definition = reader->definition;
  const char* start = reader->at;
  if (definition->ncolumns == 0) {  // one empty entry
    reader->at = nullptr;
    *bytes = reader->end;
    *length = 0;
    return start != nullptr;
  }
  if (start >= reader->end) return false;
  const char* bitmap = nullptr;
  const char* at = start;
  if (definition->nullable) {
    bitmap = at;
    at += (definition->ncolumns + 7) / 8;
    if (at > reader->end) damaged(definition->capture);
  }
  for (int i = 0; i < definition->ncolumns; i++) {
    if (bitmap != nullptr && is_null(bitmap, i)) continue;
    at = skip_column(definition, &definition->columns[i], at, reader->end);
  }
  reader->at = at;
  *bytes = start;
  *length = static_cast<int32>(at - start);
  return true;
}

void decode_entry(const CaptureDefinition* definition, const char* bytes, int32 length, Datum* values, bool* nulls) {
  const char* at = bytes;
  const char* end = bytes + length;
  const char* bitmap = nullptr;
  if (definition->nullable && definition->ncolumns > 0) {
    bitmap = at;
    at += (definition->ncolumns + 7) / 8;
  }
  for (int i = 0; i < definition->ncolumns; i++) {
    const CapturedColumn* column = &definition->columns[i];
    nulls[i] = bitmap != nullptr && is_null(bitmap, i);
    values[i] = 0;
    if (nulls[i]) continue;
    uint64 value;
    if (!get_varint(at, end, value)) damaged(definition->capture);
    if (column->byval) {
      values[i] = by_value(column, value);
    } else {
      if (value > static_cast<uint64>(end - at)) damaged(definition->capture);
      values[i] = by_reference(column, at, value);
      at += value;
    }
  }
}

}  // namespace conveyor
