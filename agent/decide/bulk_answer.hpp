// Reads the answer of a bulk request.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace conveyor {

// What of an answer is asked for (filter_path): a status of every item, so that they keep their places, and why one
// failed.
constexpr std::string_view bulk_answer_filter =
    "errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason";

struct AnswerItem {
  int status = 0;
  std::string type;
  std::string reason;
};

struct BulkAnswer {
  bool all_done = false;          // no item failed: `items` is left empty
  std::vector<AnswerItem> items;  // in the order of the request
};

// Nothing when it is not the whole answer to `expected` items: then nobody knows what was applied.
std::optional<BulkAnswer> parse_bulk_answer(std::string_view text, std::size_t expected);

// The error of a request that was refused as a whole; what is not JSON gets a short piece of its text as the reason.
AnswerItem parse_error(int status, std::string_view text);

// "HTTP status 403: cluster_block_exception: index [x] blocked by …"
std::string words(const AnswerItem& error);

}  // namespace conveyor
