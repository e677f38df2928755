#include "decide/download_plan.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>

namespace conveyor {

namespace {

std::uint32_t checksum(std::uint32_t sum, std::string_view bytes) {
  return static_cast<std::uint32_t>(crc32_z(sum, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

struct ContentRange {
  std::optional<std::uint64_t> first, total;
};

// "bytes 100-199/200", "bytes 100-199/*", "bytes */200".
std::optional<ContentRange> parse_range(std::string_view text) {
  constexpr std::string_view unit = "bytes ";
  const std::size_t slash = text.find('/');
  if (!text.starts_with(unit) || slash == std::string_view::npos) return std::nullopt;
  const std::string_view span = text.substr(unit.size(), slash - unit.size());
  return ContentRange{number(span.substr(0, span.find('-'))), number(text.substr(slash + 1))};
}

// A weak one says that two contents mean the same, not that they are.
std::string strong(const std::string& etag) { return etag.starts_with('"') ? etag : std::string(); }

constexpr const char* changed = "the file was changed while it was being read";

}  // namespace

DownloadPlan::Ask DownloadPlan::next() const {
  if (received_ == 0 || etag_.empty()) return {};
  return {received_, etag_};
}

DownloadPlan::Verdict DownloadPlan::fail(std::string problem) {
  problem_ = std::move(problem);
  return Verdict::failed;
}

DownloadPlan::Verdict DownloadPlan::head(const AnswerHead& head) {
  before_ = received_;
  switch (head.status) {
    case 200:
      return whole_answer(head);
    case 206:
      return partial_answer(head);
    case 416: {  // the cut came behind the last byte
      const auto range = parse_range(head.content_range);
      if (received_ > 0 && range && range->total == received_) return Verdict::complete;
      return fail(changed);
    }
    case 408:
    case 425:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      problem_ = fmt::format("the answer was {}", head.status);
      ++fruitless_;
      return Verdict::again;
    case 401:
    case 403:
      return fail(fmt::format("access was refused ({}); a signed address may have expired", head.status));
    case 404:
    case 410:
      return fail(fmt::format("there is no such file ({})", head.status));
    default:
      return fail(fmt::format("the answer was {}", head.status));
  }
}

DownloadPlan::Verdict DownloadPlan::whole_answer(const AnswerHead& head) {
  const std::string etag = strong(head.etag);
  if (begun_ &&
      ((!etag_.empty() && !etag.empty() && etag != etag_) || (total_ && head.length && head.length != total_)))
    return fail(changed);
  begun_ = true;
  if (!etag.empty()) etag_ = etag;
  if (head.length) total_ = head.length;
  skip_ = received_;
  skipped_sum_ = 0;
  return Verdict::read;
}

DownloadPlan::Verdict DownloadPlan::partial_answer(const AnswerHead& head) {
  const auto range = parse_range(head.content_range);
  if (received_ == 0 || !range || range->first != received_)
    return fail("the server answered with another part of the file than it was asked for");
  const std::string etag = strong(head.etag);
  if ((!etag.empty() && etag != etag_) || (total_ && range->total && range->total != total_)) return fail(changed);
  if (range->total) total_ = range->total;
  skip_ = 0;
  return Verdict::read;
}

bool DownloadPlan::body(std::string_view bytes, std::string_view& news) {
  const std::size_t known = static_cast<std::size_t>(std::min<std::uint64_t>(skip_, bytes.size()));
  if (known > 0) {
    skipped_sum_ = checksum(skipped_sum_, bytes.substr(0, known));
    skip_ -= known;
    if (skip_ == 0 && skipped_sum_ != sum_) {
      problem_ = changed;
      return false;
    }
  }
  news = bytes.substr(known);
  sum_ = checksum(sum_, news);
  received_ += news.size();
  return true;
}

DownloadPlan::Verdict DownloadPlan::ended(bool whole) {
  if (skip_ == 0 && (total_ ? received_ == *total_ : whole)) return Verdict::complete;
  if (whole) return fail(changed);
  fruitless_ = received_ > before_ ? 0 : fruitless_ + 1;
  before_ = received_;
  return Verdict::again;
}

}  // namespace conveyor
