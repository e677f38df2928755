#include "migrate/lock.hpp"

extern "C" {
#include "storage/lock.h"
}

namespace conveyor::migrate {

namespace {

LOCKTAG tag_of(Role role, int job, int number) {
  LOCKTAG tag;
  SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, static_cast<uint32>(job), static_cast<uint32>(number),
                       static_cast<uint16>(role));
  return tag;
}

}  // namespace

bool claim_role(Role role, int job, int number) {
  if (has_role(role, job, number)) return true;
  LOCKTAG tag = tag_of(role, job, number);
  return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

bool has_role(Role role, int job, int number) {
  LOCKTAG tag = tag_of(role, job, number);
  return compat::holds_lock(&tag, ExclusiveLock);
}

void leave_role(Role role, int job, int number) {
  LOCKTAG tag = tag_of(role, job, number);
  if (compat::holds_lock(&tag, ExclusiveLock)) LockRelease(&tag, ExclusiveLock, true);
}

void lock_window(int job, bool exclusive) {
  LOCKTAG tag = tag_of(Role::window, job, 0);
  LockAcquire(&tag, exclusive ? ExclusiveLock : ShareLock, false, false);
}

}  // namespace conveyor::migrate
