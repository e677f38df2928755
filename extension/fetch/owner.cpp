#include "fetch/owner.hpp"

#include "settings.hpp"

namespace conveyor {

namespace {

struct Setting {
  const char* name;
  const char* value;
};

// What a document's text, its key's text and the meaning of the view's query may depend on.
constexpr Setting kPinned[] = {
    {"row_security", "off"},  // a policy that would hide rows is an error, not a mass delete
    {"jit", "off"},           // costs more than it saves on many short statements
    {"TimeZone", "UTC"},
    {"DateStyle", "ISO, MDY"},
    {"IntervalStyle", "iso_8601"},
    {"extra_float_digits", "1"},  // shortest text that gives the same value
    {"bytea_output", "hex"},
    {"xmlbinary", "base64"},
    {"quote_all_identifiers", "off"},
    {"transform_null_equals", "off"},
    {"standard_conforming_strings", "on"},
    {"lc_monetary", "C"},
    {"lc_numeric", "C"},
    {"lc_time", "C"},
    // The planner shall expect that an answer is read to its end, and put what is expensive behind the sort.
    {"cursor_tuple_fraction", "0.999"},
};

void pin(const char* name, const char* value) {
  const char* now = GetConfigOption(name, false, false);
  if (now != nullptr && strcmp(now, value) == 0) return;
  set_config_option(name, value, superuser() ? PGC_SUSET : PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

Scope enter(Oid user, int restriction) {
  Scope scope;
  GetUserIdAndSecContext(&scope.user, &scope.security);
  SetUserIdAndSecContext(user, scope.security | restriction | SECURITY_LOCAL_USERID_CHANGE);
  scope.settings = NewGUCNestLevel();
  return scope;
}

}  // namespace

const char* with_temporary_last(const char* path) {
  if (strstr(path, "pg_temp") != nullptr) return path;
  return path[strspn(path, " ")] == '\0' ? "pg_catalog, pg_temp" : psprintf("%s, pg_temp", path);
}

int settings_enter_pinned() {
  int level = NewGUCNestLevel();
  for (const Setting& setting : kPinned) pin(setting.name, setting.value);
  return level;
}

void settings_leave(int level) { AtEOXact_GUC(true, level); }

Scope scope_enter_internal(Oid user) {
  Scope scope = enter(user, 0);
  pin("search_path", "pg_catalog, pg_temp");
  pin("row_security", "off");
  return scope;
}

Scope scope_enter_owner(Oid owner, const char* search_path) {
  Scope scope = enter(owner, SECURITY_RESTRICTED_OPERATION);
  for (const Setting& setting : kPinned) pin(setting.name, setting.value);
  pin("search_path", with_temporary_last(search_path));
  // The sessions of one window wait for each other in the agent, where the server sees no deadlock: one that waited
  // here behind a DDL statement, which waits for another one, would wait for good. And of two that do see each other it
  // is not the DDL that shall give way, which it would after deadlock_timeout.
  pin("lock_timeout", psprintf("%d", settings.fetch_lock_timeout));
  return scope;
}

Scope scope_enter_feed(const Feed* feed) { return scope_enter_owner(feed->owner, feed->search_path); }

Scope scope_enter_caller(const char* search_path) {
  Scope scope = enter(GetUserId(), SECURITY_RESTRICTED_OPERATION);
  pin("row_security", "off");
  pin("jit", "off");
  pin("search_path", with_temporary_last(search_path));
  return scope;
}

void scope_leave(Scope* scope) {
  AtEOXact_GUC(true, scope->settings);
  SetUserIdAndSecContext(scope->user, scope->security);
}

}  // namespace conveyor
