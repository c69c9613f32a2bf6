#include "litmus/programs.h"

#include <atomic>

namespace explore {
namespace {

using std::memory_order;
constexpr auto relaxed = std::memory_order_relaxed;
constexpr auto acquire = std::memory_order_acquire;
constexpr auto release = std::memory_order_release;
constexpr auto acq_rel = std::memory_order_acq_rel;
constexpr auto seq_cst = std::memory_order_seq_cst;

// Up to four results of one bit or two, in one number: the first is the highest.
constexpr unsigned bits(unsigned a, unsigned b) {
  return a << 1 | b;
}
constexpr unsigned bits(unsigned a, unsigned b, unsigned c, unsigned d) {
  return a << 3 | b << 2 | c << 1 | d;
}
constexpr std::uint64_t all_but(unsigned count, std::uint64_t not_these) {
  return ((std::uint64_t{1} << count) - 1) & ~not_these;
}
constexpr std::uint64_t only(unsigned number) {
  return std::uint64_t{1} << number;
}

struct TwoVariables : Row {
  std::atomic<int> x{0}, y{0};
  unsigned r[4] = {0, 0, 0, 0};
  TwoVariables() {
    name(&x, "x");
    name(&y, "y");
  }
};

// x = 1; r0 = y  ||  y = 1; r1 = x. Outcome r0 r1.
template <memory_order store_x, memory_order load_y, memory_order store_y, memory_order load_x>
struct StoreBuffering : TwoVariables {
  void thread(int number) override {
    if (number == 0) {
      x.store(1, store_x);
      r[0] = static_cast<unsigned>(y.load(load_y));
    } else {
      y.store(1, store_y);
      r[1] = static_cast<unsigned>(x.load(load_x));
    }
  }
  void at_end() override { outcome(bits(r[0], r[1])); }
};

template <memory_order first, memory_order second>
struct StoreBufferingFences : TwoVariables {
  void thread(int number) override {
    if (number == 0) {
      x.store(1, relaxed);
      std::atomic_thread_fence(first);
      r[0] = static_cast<unsigned>(y.load(relaxed));
    } else {
      y.store(1, relaxed);
      std::atomic_thread_fence(second);
      r[1] = static_cast<unsigned>(x.load(relaxed));
    }
  }
  void at_end() override { outcome(bits(r[0], r[1])); }
};

// The stores are read-modify-writes: to x86 they wait in no buffer.
template <memory_order order>
struct StoreBufferingExchange : TwoVariables {
  void thread(int number) override {
    if (number == 0) {
      x.exchange(1, order);
      r[0] = static_cast<unsigned>(y.load(acquire));
    } else {
      y.exchange(1, order);
      r[1] = static_cast<unsigned>(x.load(acquire));
    }
  }
  void at_end() override { outcome(bits(r[0], r[1])); }
};

// x = 1; y = 1  ||  r0 = y; r1 = x. Outcome r0 r1.
template <memory_order store_y, memory_order load_y>
struct MessagePassing : TwoVariables {
  void thread(int number) override {
    if (number == 0) {
      x.store(1, relaxed);
      y.store(1, store_y);
    } else {
      r[0] = static_cast<unsigned>(y.load(load_y));
      r[1] = static_cast<unsigned>(x.load(relaxed));
    }
  }
  void at_end() override { outcome(bits(r[0], r[1])); }
};

template <memory_order before, memory_order after>
struct MessagePassingFences : TwoVariables {
  void thread(int number) override {
    if (number == 0) {
      x.store(1, relaxed);
      std::atomic_thread_fence(before);
      y.store(1, relaxed);
    } else {
      r[0] = static_cast<unsigned>(y.load(relaxed));
      std::atomic_thread_fence(after);
      r[1] = static_cast<unsigned>(x.load(relaxed));
    }
  }
  void at_end() override { outcome(bits(r[0], r[1])); }
};

// x = 1; y = 1 (release)  ||  y: 1 -> 2 by a read-modify-write  ||  r0 = y (acquire); r1 = x. The
// third may see 2, and then sees x, as the second's is part of the first's release sequence.
// Outcome r0 r1.
struct ReleaseSequence : TwoVariables {
  void thread(int number) override {
    if (number == 0) {
      x.store(1, relaxed);
      y.store(1, release);
    } else if (number == 1) {
      int one = 1;
      y.compare_exchange_strong(one, 2, relaxed, relaxed);
    } else {
      r[0] = static_cast<unsigned>(y.load(acquire));
      r[1] = static_cast<unsigned>(x.load(relaxed));
    }
  }
  void at_end() override { outcome(bits(r[0], r[1])); }
};

// As before, but the second stores plainly: since C++20 that ends the sequence, whoever it is by.
struct BrokenSequence : TwoVariables {
  void thread(int number) override {
    if (number == 0) {
      x.store(1, relaxed);
      y.store(1, release);
      y.store(2, relaxed);
    } else {
      r[0] = static_cast<unsigned>(y.load(acquire));
      r[1] = static_cast<unsigned>(x.load(relaxed));
    }
  }
  void at_end() override { outcome(bits(r[0], r[1])); }
};

// x = 1; x = 2  ||  r0 = x; r1 = x. Never an older one after a newer. Outcome r0 r1, two bits each.
struct CoherenceReadRead : TwoVariables {
  void thread(int number) override {
    if (number == 0) {
      x.store(1, relaxed);
      x.store(2, relaxed);
    } else {
      r[0] = static_cast<unsigned>(x.load(relaxed));
      r[1] = static_cast<unsigned>(x.load(relaxed));
    }
  }
  void at_end() override { outcome(r[0] << 2 | r[1]); }
};

// x = 1; r0 = x  ||  x = 2: not 0, whatever the other does. Outcome r0.
struct CoherenceWriteRead : TwoVariables {
  void thread(int number) override {
    if (number == 0) {
      x.store(1, relaxed);
      r[0] = static_cast<unsigned>(x.load(relaxed));
    } else {
      x.store(2, relaxed);
    }
  }
  void at_end() override { outcome(r[0]); }
};

// x = 1  ||  y = 1  ||  r0 = x; r1 = y  ||  r2 = y; r3 = x. Outcome r0 r1 r2 r3.
template <memory_order store, memory_order load>
struct IndependentReads : TwoVariables {
  void thread(int number) override {
    if (number == 0) x.store(1, store);
    if (number == 1) y.store(1, store);
    if (number == 2) {
      r[0] = static_cast<unsigned>(x.load(load));
      r[1] = static_cast<unsigned>(y.load(load));
    }
    if (number == 3) {
      r[2] = static_cast<unsigned>(y.load(load));
      r[3] = static_cast<unsigned>(x.load(load));
    }
  }
  void at_end() override { outcome(bits(r[0], r[1], r[2], r[3])); }
};

struct IndependentReadsFences : TwoVariables {
  void thread(int number) override {
    if (number == 0) x.store(1, relaxed);
    if (number == 1) y.store(1, relaxed);
    if (number == 2) {
      r[0] = static_cast<unsigned>(x.load(relaxed));
      std::atomic_thread_fence(seq_cst);
      r[1] = static_cast<unsigned>(y.load(relaxed));
    }
    if (number == 3) {
      r[2] = static_cast<unsigned>(y.load(relaxed));
      std::atomic_thread_fence(seq_cst);
      r[3] = static_cast<unsigned>(x.load(relaxed));
    }
  }
  void at_end() override { outcome(bits(r[0], r[1], r[2], r[3])); }
};

// x = 1  ||  r0 = x; y = 1 (release)  ||  r1 = y (acquire); r2 = x. If the third sees the second's,
// which saw the first's, it sees the first's: though r0 is relaxed, it happens before r2, and reads
// that are so ordered do not go back. Outcome 0 r0 r1 r2.
struct WriteToReadCausality : TwoVariables {
  void thread(int number) override {
    if (number == 0) x.store(1, relaxed);
    if (number == 1) {
      r[0] = static_cast<unsigned>(x.load(relaxed));
      y.store(1, release);
    }
    if (number == 2) {
      r[1] = static_cast<unsigned>(y.load(acquire));
      r[2] = static_cast<unsigned>(x.load(relaxed));
    }
  }
  void at_end() override { outcome(bits(0, r[0], r[1], r[2])); }
};

// Two read-modify-writes of one word never read the same. Outcome r0 r1.
struct Atomicity : TwoVariables {
  void thread(int number) override { r[number] = static_cast<unsigned>(x.fetch_add(1, relaxed)); }
  void at_end() override { outcome(bits(r[0], r[1])); }
};

// A compare-and-swap that fails may read an older value; one that succeeds reads the newest.
// x = 1  ||  r0 = did x: 1 -> 2 succeed. Outcome r0 and whether x ends as 2.
struct FailingCompare : TwoVariables {
  void thread(int number) override {
    if (number == 0) {
      x.store(1, relaxed);
    } else {
      int one = 1;
      r[0] = x.compare_exchange_strong(one, 2, relaxed, relaxed);
    }
  }
  void at_end() override { outcome(bits(r[0], x.load(relaxed) == 2)); }
};

// A lone weak compare-and-swap of what it expects may fail: in C++, not on x86. Outcome r0.
struct WeakCompare : TwoVariables {
  void thread(int) override {
    int zero = 0;
    r[0] = x.compare_exchange_weak(zero, 1, relaxed, relaxed);
  }
  void at_end() override { outcome(r[0]); }
};

template <class T>
constexpr RowInfo of(const char* name, int threads) {
  return {name, "", threads, make<T>, May{.time_outs = 0, .jumps = 0}};
}

constexpr std::uint64_t all2 = all_but(4, 0);
constexpr std::uint64_t not_both_0 = all_but(4, only(bits(0, 0)));
constexpr std::uint64_t no_lost_message = all_but(4, only(bits(1, 0)));
constexpr std::uint64_t all4 = all_but(16, 0);
constexpr std::uint64_t one_order = all_but(16, only(bits(1, 0, 1, 0)));

// clang++ does not tell a weak one from a strong one.
#ifdef __clang__
constexpr std::uint64_t weak_outcomes = 0b10;
#else
constexpr std::uint64_t weak_outcomes = 0b11;
#endif

constexpr Litmus programs[] = {
    {of<StoreBuffering<relaxed, relaxed, relaxed, relaxed>>("SB", 2), all2, all2},
    {of<StoreBuffering<release, acquire, release, acquire>>("SB_release_acquire", 2), all2, all2},
    {of<StoreBuffering<seq_cst, seq_cst, seq_cst, seq_cst>>("SB_seq_cst", 2), not_both_0,
     not_both_0},
    {of<StoreBuffering<release, seq_cst, seq_cst, seq_cst>>("SB_one_store_release", 2), all2, all2},
    {of<StoreBuffering<seq_cst, acquire, seq_cst, seq_cst>>("SB_one_load_acquire", 2), all2,
     not_both_0},
    {of<StoreBufferingFences<seq_cst, seq_cst>>("SB_fences", 2), not_both_0, not_both_0},
    {of<StoreBufferingFences<seq_cst, acq_rel>>("SB_one_fence_acq_rel", 2), all2, all2},
    {of<StoreBufferingExchange<acq_rel>>("SB_exchange_acq_rel", 2), all2, not_both_0},
    {of<StoreBufferingExchange<seq_cst>>("SB_exchange_seq_cst_load_acquire", 2), all2, not_both_0},
    {of<MessagePassing<release, acquire>>("MP", 2), no_lost_message, no_lost_message},
    {of<MessagePassing<relaxed, acquire>>("MP_store_relaxed", 2), all2, no_lost_message},
    {of<MessagePassing<release, relaxed>>("MP_load_relaxed", 2), all2, no_lost_message},
    {of<MessagePassing<seq_cst, seq_cst>>("MP_seq_cst", 2), no_lost_message, no_lost_message},
    {of<MessagePassingFences<release, acquire>>("MP_fences", 2), no_lost_message, no_lost_message},
    {of<MessagePassingFences<acquire, acquire>>("MP_wrong_fence", 2), all2, no_lost_message},
    {of<ReleaseSequence>("MP_release_sequence", 3),
     only(bits(0, 0)) | only(bits(0, 1)) | only(bits(1, 1)) | only(bits(2, 1)),
     only(bits(0, 0)) | only(bits(0, 1)) | only(bits(1, 1)) | only(bits(2, 1))},
    {of<BrokenSequence>("MP_broken_sequence", 2),
     only(bits(0, 0)) | only(bits(0, 1)) | only(bits(1, 1)) | only(bits(2, 0)) | only(bits(2, 1)),
     only(bits(0, 0)) | only(bits(0, 1)) | only(bits(1, 1)) | only(bits(2, 1))},
    {of<CoherenceReadRead>("CoRR", 2), 0b0000010001100111, 0b0000010001100111},
    {of<CoherenceWriteRead>("CoWR", 2), 0b110, 0b110},
    {of<IndependentReads<release, acquire>>("IRIW", 4), all4, one_order},
    {of<IndependentReads<seq_cst, seq_cst>>("IRIW_seq_cst", 4), one_order, one_order},
    {of<IndependentReads<seq_cst, acquire>>("IRIW_loads_acquire", 4), all4, one_order},
    {of<IndependentReadsFences>("IRIW_fences", 4), one_order, one_order},
    {of<WriteToReadCausality>("WRC", 3), all_but(8, only(0b110)), all_but(8, only(0b110))},
    {of<Atomicity>("RMW", 2), only(bits(0, 1)) | only(bits(1, 0)),
     only(bits(0, 1)) | only(bits(1, 0))},
    {of<FailingCompare>("CAS_failing", 2), only(bits(0, 0)) | only(bits(1, 1)),
     only(bits(0, 0)) | only(bits(1, 1))},
    {of<WeakCompare>("CAS_weak", 1), weak_outcomes, 0b10},
};

}  // namespace

std::span<const Litmus> litmus_programs() {
  return programs;
}

}  // namespace explore
