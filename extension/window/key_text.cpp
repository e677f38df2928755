#include "window/key_text.hpp"

extern "C" {
#include "utils/json.h"
}

namespace conveyor {

namespace {

void append_integer(StringInfo text, int64 value) {
  char digits[MAXINT8LEN + 1];
  int length = pg_lltoa(value, digits);
  appendBinaryStringInfo(text, digits, length);
}

}  // namespace

bool key_text_is_output(Oid type) {
  switch (type) {
    case INT2OID:
    case INT4OID:
    case INT8OID:
    case OIDOID:
    case NUMERICOID:
    case TEXTOID:
    case VARCHAROID:
    case UUIDOID:
    case BYTEAOID:
    case DATEOID:
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
      return true;
    default:
      return false;
  }
}

void key_writer_init(KeyWriter* writer, const Feed* feed) {
  writer->keys = feed->keys;
  writer->types = static_cast<Oid*>(palloc(sizeof(Oid) * feed->keys));
  writer->outputs = static_cast<FmgrInfo*>(palloc(sizeof(FmgrInfo) * feed->keys));
  for (int i = 0; i < feed->keys; i++) {
    Oid output;
    bool varlena;
    writer->types[i] = feed->key[i].type;
    getTypeOutputInfo(feed->key[i].type, &output, &varlena);
    fmgr_info(output, &writer->outputs[i]);
  }
}

void key_write(KeyWriter* writer, const Datum* values, StringInfo id) {
  resetStringInfo(id);
  if (writer->keys == 1) {
    switch (writer->types[0]) {
      case INT2OID:
        append_integer(id, DatumGetInt16(values[0]));
        return;
      case INT4OID:
        append_integer(id, DatumGetInt32(values[0]));
        return;
      case INT8OID:
        append_integer(id, DatumGetInt64(values[0]));
        return;
      default:
        appendStringInfoString(id, OutputFunctionCall(&writer->outputs[0], values[0]));
        return;
    }
  }
  for (int i = 0; i < writer->keys; i++) {
    appendStringInfoChar(id, i == 0 ? '[' : ',');
    escape_json(id, OutputFunctionCall(&writer->outputs[i], values[i]));
  }
  appendStringInfoChar(id, ']');
}

}  // namespace conveyor
