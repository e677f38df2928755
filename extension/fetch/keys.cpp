#include "fetch/keys.hpp"

#include "fetch/split_key.hpp"

extern "C" {
#include "utils/resowner.h"
}

namespace conveyor {

namespace {

struct Input {
  FmgrInfo function;
  Oid parameter;
  int16 length;
  bool byval;
  char align;
};

Input* inputs_of(const Feed* feed) {
  Input* inputs = static_cast<Input*>(palloc(sizeof(Input) * feed->keys));
  for (int i = 0; i < feed->keys; i++) {
    Oid function;
    getTypeInputInfo(feed->key[i].type, &function, &inputs[i].parameter);
    fmgr_info(function, &inputs[i].function);
    get_typlenbyvalalign(feed->key[i].type, &inputs[i].length, &inputs[i].byval, &inputs[i].align);
  }
  return inputs;
}

struct Parser {
  const Feed* feed;
  Input* inputs;
  char*** parts;        // by key: the texts of its columns
  Datum** values;       // by column: the values of the keys that have some
  int count;            // keys
  int next;             // to be parsed
  int parsed;           // have values
  const char** reason;  // by key: becomes why it has none; may be NULL
};

Parser* parser_make(const Feed* feed, int most) {
  Parser* parser = static_cast<Parser*>(palloc0(sizeof(Parser)));
  parser->feed = feed;
  parser->inputs = inputs_of(feed);
  parser->parts = static_cast<char***>(palloc(sizeof(char**) * (most + 1)));
  parser->values = static_cast<Datum**>(palloc(sizeof(Datum*) * feed->keys));
  for (int i = 0; i < feed->keys; i++) parser->values[i] = static_cast<Datum*>(palloc(sizeof(Datum) * (most + 1)));
  return parser;
}

Datum* arrays_of(const Parser* parser) {
  Datum* arrays = static_cast<Datum*>(palloc(sizeof(Datum) * parser->feed->keys));
  for (int i = 0; i < parser->feed->keys; i++) {
    const Input& input = parser->inputs[i];
    arrays[i] = PointerGetDatum(construct_array(parser->values[i], parser->parsed, parser->feed->key[i].type,
                                                input.length, input.byval, input.align));
  }
  return arrays;
}

// Parses until the end or until an error, which leaves `next` at the key that caused it.
void parse_some(Parser* parser) {
  for (; parser->next < parser->count; parser->next++) {
    for (int i = 0; i < parser->feed->keys; i++)
      parser->values[i][parser->parsed] = InputFunctionCall(&parser->inputs[i].function, parser->parts[parser->next][i],
                                                            parser->inputs[i].parameter, -1);
    parser->parsed++;
  }
}

// Errors that speak of the text, as opposed to those that speak of the session or the server.
bool about_the_text(int sqlstate) {
  int category = ERRCODE_TO_CATEGORY(sqlstate);
  return category == ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION) ||
         category == ERRCODE_TO_CATEGORY(ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION) ||
         category == ERRCODE_TO_CATEGORY(ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION) ||
         sqlstate == ERRCODE_PROGRAM_LIMIT_EXCEEDED;
}

// One subtransaction for as long as the texts are good, another one behind each that is not. They assign no transaction
// id, since nothing is written.
void parse_all(Parser* parser) {
  while (parser->next < parser->count) {
    MemoryContext context = CurrentMemoryContext;
    ResourceOwner owner = CurrentResourceOwner;
    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(context);
    PG_TRY();
    {
      parse_some(parser);
      ReleaseCurrentSubTransaction();
    }
    PG_CATCH();
    {
      MemoryContextSwitchTo(context);
      ErrorData* error = CopyErrorData();
      if (!about_the_text(error->sqlerrcode)) PG_RE_THROW();
      if (parser->reason != nullptr) parser->reason[parser->next] = pstrdup(error->message);
      FlushErrorState();
      FreeErrorData(error);
      RollbackAndReleaseCurrentSubTransaction();
      parser->next++;
    }
    PG_END_TRY();
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
  }
}

}  // namespace

void asked_init(AskedKeys* asked, const Feed* feed, char** keys, int count) {
  key_set_init(&asked->texts);
  key_set_init(&asked->met);
  asked->missing = 0;

  Parser* parser = parser_make(feed, count);
  for (int i = 0; i < count; i++) {
    uint32 length = static_cast<uint32>(strlen(keys[i]));
    Size offset;
    if (!key_set_add(&asked->texts, keys[i], length, key_hash(keys[i], length), &offset)) continue;
    char** parts = static_cast<char**>(palloc(sizeof(char*) * feed->keys));
    if (split_key(keys[i], feed->keys, parts)) parser->parts[parser->count++] = parts;
  }
  parse_all(parser);
  asked->arrays = arrays_of(parser);
}

void asked_met(AskedKeys* asked, const char* id, uint32 length) {
  uint64 hash = key_hash(id, length);
  Size offset;
  if (key_set_find(&asked->texts, id, length, hash) != kNoKey) key_set_add(&asked->met, id, length, hash, &offset);
}

bool asked_next_missing(AskedKeys* asked, const char** key, uint32* length) {
  while (asked->missing < asked->texts.used) {
    *key = key_set_bytes_at(&asked->texts, asked->missing);
    *length = key_set_length_at(&asked->texts, asked->missing);
    asked->missing = key_set_next(&asked->texts, asked->missing);
    if (key_set_find(&asked->met, *key, *length, key_hash(*key, *length)) == kNoKey) return true;
  }
  return false;
}

Datum* parse_ids(const Feed* feed, char** texts, int count, const char** problems) {
  Parser* parser = parser_make(feed, count);
  auto* place = static_cast<int*>(palloc(sizeof(int) * (count + 1)));
  for (int i = 0; i < count; i++) {
    char** parts = static_cast<char**>(palloc(sizeof(char*) * feed->keys));
    problems[i] = nullptr;
    if (!split_key(texts[i], feed->keys, parts)) {
      problems[i] = psprintf("it is no JSON array of %d strings without blanks, such as [\"a\",\"b\"]", feed->keys);
      continue;
    }
    place[parser->count] = i;
    parser->parts[parser->count++] = parts;
  }
  parser->reason = static_cast<const char**>(palloc0(sizeof(char*) * (parser->count + 1)));
  parse_all(parser);
  for (int i = 0; i < parser->count; i++)
    if (parser->reason[i] != nullptr) problems[place[i]] = parser->reason[i];
  return arrays_of(parser);
}

void key_values(const Feed* feed, char** texts, int count, Datum* values) {
  if (count != feed->keys)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("key of feed \"%s\" has %d columns, %d were given", feed->name, feed->keys, count)));
  Input* inputs = inputs_of(feed);
  for (int i = 0; i < count; i++) values[i] = InputFunctionCall(&inputs[i].function, texts[i], inputs[i].parameter, -1);
}

}  // namespace conveyor
