// Whose rights and which settings are in force while a feed is read.
//
// A scope switches the user, restricts the security context and opens a level of settings. It is left explicitly on the
// normal path; after an error the end of the (sub)transaction restores user and settings, as for functions with
// SECURITY DEFINER. Scopes nest.
#pragma once

#include "fetch/feed.hpp"

namespace conveyor {

struct Scope {
  Oid user;
  int security;
  int settings;  // nest level of the settings
};

// For reading the extension's own tables: the rights of `user`, nothing but pg_catalog in the search path.
Scope scope_enter_internal(Oid user);

// For reading documents: the rights of the feed's owner, restricted, and output that does not depend on the session.
Scope scope_enter_feed(const Feed* feed);

// The same for a definition that is not stored yet.
Scope scope_enter_owner(Oid owner, const char* search_path);

// For a query that the caller gave: the caller's own rights and settings, restricted, with nothing hidden from it in
// silence.
Scope scope_enter_caller(const char* search_path);

void scope_leave(Scope* scope);

// The settings alone, for turning keys into texts and back with the session's own rights. Returns the level to leave.
int settings_enter_pinned();
void settings_leave(int level);

// Unless it is named, the schema of temporary tables comes first, and whoever reads may have made some.
const char* with_temporary_last(const char* search_path);

}  // namespace conveyor
