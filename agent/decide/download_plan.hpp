// Reading a file over HTTP to its end although connections are cut: what to ask for, and what an answer is worth. Pure.
//
// The rest is asked for by range, on the condition that the file is still the same (If-Range with a strong ETag). A
// server that sends everything again, or that has no strong ETag, is read from the beginning: what was read already
// must come again, which a checksum shows, and is left out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace conveyor {

// What an answer says before its body.
struct AnswerHead {
  int status = 0;
  std::optional<std::uint64_t> length;  // of the body
  std::string etag, content_range;
};

class DownloadPlan {
 public:
  struct Ask {
    std::uint64_t from = 0;  // 0: everything, without Range
    std::string if_range;
  };
  enum class Verdict {
    read,      // its body is wanted
    again,     // ask once more, later
    complete,  // there is nothing more
    failed,    // problem() says why
  };

  Ask next() const;
  Verdict head(const AnswerHead& head);
  // A piece of the body: the part of it that is new. False: it is not what was read before.
  bool body(std::string_view bytes, std::string_view& news);
  // The answer is over; `whole`: as far as the connection goes.
  Verdict ended(bool whole);

  // Attempts in a row that brought nothing new.
  int fruitless() const { return fruitless_; }
  std::uint64_t received() const { return received_; }
  // For people: "…, which answered …".
  const std::string& problem() const { return problem_; }

 private:
  Verdict fail(std::string problem);
  Verdict whole_answer(const AnswerHead& head);
  Verdict partial_answer(const AnswerHead& head);

  std::string etag_;                    // strong; empty: unknown
  std::optional<std::uint64_t> total_;  // bytes of the file
  std::uint64_t received_ = 0;          // bytes handed on
  std::uint32_t sum_ = 0;               // of those
  std::uint64_t skip_ = 0;              // bytes of this answer that are known already
  std::uint32_t skipped_sum_ = 0;
  std::uint64_t before_ = 0;  // received when this attempt began
  int fruitless_ = 0;
  bool begun_ = false;
  std::string problem_;
};

}  // namespace conveyor
