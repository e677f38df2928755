// What has differed once is looked at again, and again, until it is equal or certain to differ. Pure; one thread.
//
// A look at a document: it is read here in a snapshot S; when everything that S sees has been acknowledged, its copy is
// read there. If only our deliveries write to the target, the copy is then what the document was in S or later. So when
// two looks in a row find *the same copy* (its version and sequence number say so), and the second finds it unlike the
// document, it differs: a delivery between the two would have made another copy of it, and without one the document is
// what it was when the copy was made. A copy that is not there has nothing to be known by; for that it takes one look
// more. A document whose copy is another one at every look is being delivered, and is no difference.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace conveyor {

// The document as it is here.
struct Original {
  bool exists = false;
  std::uint64_t content = 0;
  std::string refusal;  // why it cannot be delivered; empty: it can
};

// Its copy in the target. `routing` not empty: it stands where deliveries do not look for it.
struct Copy {
  bool exists = false;
  std::int64_t version = 0, sequence = 0;
  std::uint64_t content = 0;
  std::string routing;
};

struct Verdict {
  std::string key;
  std::string kind;  // missing, extra, different; empty: equal
  std::int64_t version = 0;
  std::string detail;
};

class SecondLook {
 public:
  explicit SecondLook(const std::vector<std::string>& keys);

  // Keys that must be looked at (again).
  std::vector<std::string> open() const;
  // One look: what was read, for every key of open(); what is not told does not exist.
  void original(const std::string& key, Original original);
  void copy(const std::string& key, Copy copy);
  void look_over();

  // Of what has been decided since the last call.
  std::vector<Verdict> take_verdicts();
  // How many were in motion to the end.
  int moving() const { return moving_; }

 private:
  struct Document {
    Original here;
    Copy there, before;
    int looks = 0;  // in a row with the same copy
    int all = 0;
  };
  // Nothing: not known yet.
  static std::optional<Verdict> judge(const std::string& key, const Document& document);

  std::map<std::string, Document> documents_;
  std::vector<Verdict> verdicts_;
  int moving_ = 0;
};

}  // namespace conveyor
