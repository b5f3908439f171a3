#include <kiln/sync/seqlock.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace kiln::sync {
namespace {

struct Pair {
    std::uint64_t a = 0;
    std::uint64_t b = 0;
};

TEST(SeqLock, ReadsWhatWasWritten) {
    SeqLock<Pair> lock(LockRank::kLog, Pair{1, 2});
    EXPECT_EQ(lock.read().b, 2u);
    lock.write({3, 4});
    EXPECT_EQ(lock.read().a, 3u);
    EXPECT_EQ(lock.read().b, 4u);
}

TEST(SeqLock, ReadersNeverSeeHalfAWrite) {
    SeqLock<Pair> lock(LockRank::kLog);
    std::atomic<bool> stop{false};
    std::atomic<int> torn{0};
    std::thread reader([&] {
        while (!stop) {
            const Pair p = lock.read();
            if (p.a != p.b) torn++;
        }
    });
    for (std::uint64_t i = 1; i <= 200000; i++) lock.write({i, i});
    stop = true;
    reader.join();
    EXPECT_EQ(torn, 0);
}

}  // namespace
}  // namespace kiln::sync
