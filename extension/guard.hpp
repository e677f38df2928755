// The border between C++ that may throw and the server's ereport, which jumps over destructors.
//
//   CONVEYOR_FUNCTION(thing) {
//     return entered([&] {                              // C++ from here: exceptions become ereport
//       std::vector<…> v;                               // destructors run
//       Datum d = backend([&] { return SPI_…; });       // the server from here: ereport becomes PgError
//       return d;
//     });
//   }
//
// Inside `backend` no object with a destructor may be made; inside `entered`, no server call that may ereport outside
// `backend`. An error that was caught must leave through `entered`: the transaction is not usable any more. SQLSTATE,
// detail and hint survive both ways. Code without destructors (the capture's hot path) needs neither.
#pragma once

#include "compat.hpp"

#include <cstring>
#include <exception>
#include <new>
#include <type_traits>

namespace conveyor {

// An ereport(ERROR) on its way through C++. `data` lives in the memory context of the call that failed.
struct PgError : std::exception {
  explicit PgError(ErrorData* error) : data(error) {}
  const char* what() const noexcept override {
    return data->message != nullptr ? data->message : "error in the server";
  }
  ErrorData* data;
};

// Calls the server from C++ with destructors.
template <typename Call>
auto backend(Call&& call) -> std::invoke_result_t<Call> {
  using Result = std::invoke_result_t<Call>;
  MemoryContext context = CurrentMemoryContext;
  ErrorData* volatile error = nullptr;
  if constexpr (std::is_void_v<Result>) {
    PG_TRY();
    { call(); }
    PG_CATCH();
    {
      MemoryContextSwitchTo(context);
      error = CopyErrorData();
      FlushErrorState();
    }
    PG_END_TRY();
    if (error != nullptr) throw PgError(error);
  } else {
    static_assert(std::is_trivially_copyable_v<Result> && std::is_trivially_destructible_v<Result>);
    volatile bool finished = false;
    alignas(Result) unsigned char storage[sizeof(Result)];
    PG_TRY();
    {
      Result result = call();
      std::memcpy(storage, &result, sizeof result);
      finished = true;
    }
    PG_CATCH();
    {
      MemoryContextSwitchTo(context);
      error = CopyErrorData();
      FlushErrorState();
    }
    PG_END_TRY();
    if (!finished) throw PgError(error);
    Result result;
    std::memcpy(&result, storage, sizeof result);
    return result;
  }
}

// Enters C++ that may throw from a function that the server called.
template <typename Call>
auto entered(Call&& call) -> std::invoke_result_t<Call> {
  enum { none, server, memory, other } failed = none;
  ErrorData* error = nullptr;
  char message[512];  // the exception object must be gone before ereport jumps
  try {
    return call();
  } catch (const PgError& e) {
    failed = server;
    error = e.data;
  } catch (const std::bad_alloc&) {
    failed = memory;
  } catch (const std::exception& e) {
    failed = other;
    strlcpy(message, e.what(), sizeof message);
  }
  if (failed == server) ReThrowError(error);
  if (failed == memory) ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
  ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg_internal("%s", message));
  pg_unreachable();
}

}  // namespace conveyor
