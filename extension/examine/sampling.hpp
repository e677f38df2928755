// Which batches are instrumented. It costs, and most batches are like the one before.
#pragma once

namespace conveyor {

struct Sampling {
  int one_in = 1;        // every so many batches; 0: none
  bool any = false;      // one was
  long since = 0;        // batches since the latest
  double rows = 0;       // of the latest
  bool growing = false;  // the latest fell into a time of growth

  // Also the first; one so much larger that another plan, or another picture, is to be expected; and one in which the
  // time per row has begun to grow.
  bool is_due(double batch_rows, bool grows_now) const {
    constexpr double kLarger = 4;
    if (one_in == 0) return false;
    return !any || since + 1 >= one_in || batch_rows >= kLarger * rows || (grows_now && !growing);
  }
  void passed() { ++since; }
  void taken(double batch_rows, bool grows_now) {
    any = true;
    since = 0;
    rows = batch_rows > 1 ? batch_rows : 1;
    growing = grows_now;
  }
};

}  // namespace conveyor
