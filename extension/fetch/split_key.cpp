#include "fetch/split_key.hpp"

extern "C" {
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
}

namespace conveyor {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// One string with its quotes. Only the escapes that array_to_json() writes are known: ids are compared by text, so a
// text that it would not have written is nobody's.
bool take_string(const char** at, StringInfo out) {
  const char* p = *at;
  if (*p++ != '"') return false;
  for (; *p != '"'; p++) {
    unsigned char c = static_cast<unsigned char>(*p);
    if (c < 0x20) return false;  // the end, too
    if (c != '\\') {
      appendStringInfoCharMacro(out, *p);
      continue;
    }
    switch (*++p) {
      case '"':
      case '\\':
        appendStringInfoCharMacro(out, *p);
        break;
      case 'b':
        appendStringInfoCharMacro(out, '\b');
        break;
      case 'f':
        appendStringInfoCharMacro(out, '\f');
        break;
      case 'n':
        appendStringInfoCharMacro(out, '\n');
        break;
      case 'r':
        appendStringInfoCharMacro(out, '\r');
        break;
      case 't':
        appendStringInfoCharMacro(out, '\t');
        break;
      case 'u': {  // control characters only: u00XX
        if (p[1] != '0' || p[2] != '0') return false;
        int high = hex_digit(p[3]);
        int low = high < 0 ? -1 : hex_digit(p[4]);
        if (low < 0 || high * 16 + low == 0 || high > 7) return false;
        appendStringInfoCharMacro(out, static_cast<char>(high * 16 + low));
        p += 4;
        break;
      }
      default:
        return false;
    }
  }
  *at = p + 1;
  return true;
}

}  // namespace

bool split_key(const char* text, int columns, char** parts) {
  if (columns == 1) {
    parts[0] = pstrdup(text);
    return true;
  }
  if (*text++ != '[') return false;
  for (int i = 0; i < columns; i++) {
    if (i > 0 && *text++ != ',') return false;
    StringInfoData part;
    initStringInfo(&part);
    if (!take_string(&text, &part)) return false;
    parts[i] = part.data;
  }
  return text[0] == ']' && text[1] == '\0';
}

}  // namespace conveyor
