// What `conveyor verify` says to people. Pure.
#pragma once

#include <string>

#include "verify/verifier.hpp"

namespace conveyor {

// 1234567 → "1,234,567".
std::string grouped(std::int64_t number);

// One line: what is done, how fast, how long it will still take where that is known.
std::string progress_text(const VerifyProgress& progress);

struct Differences {
  std::int64_t missing = 0, extra = 0, different = 0, repaired = 0;
  bool none() const { return missing + extra + different == 0; }
};

// One line at the end.
std::string verdict_text(const std::string& delivery, const VerifyProgress& progress, const Differences& differences);

// One difference, one line: kind, key, and what there is to say, separated by tabs. Control characters of a key are
// shown as in JSON.
std::string difference_text(const NotedKey& noted);

}  // namespace conveyor
