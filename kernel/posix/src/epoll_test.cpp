#include <kiln/posix/epoll.hpp>

#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/posix/eventfd.hpp>
#include <kiln/posix/poll.hpp>
#include <kiln/posix/timerfd.hpp>

#include <kiln/sched_testing/test_machine.hpp>

namespace kiln::posix {
namespace {

using sched::Thread;
using sched::testing::compute;
using sched::testing::preempt_here;
using sched::testing::SchedTest;

constexpr std::uint64_t kMs = 1'000'000;

Ref<vfs::File> make_event(std::uint32_t initial = 0,
                          EventFile::Kind kind = EventFile::Kind::kCounter,
                          std::uint32_t flags = 0) {
    return *EventFile::create(initial, kind, flags);
}
Result<std::size_t> put(vfs::File& file, std::uint64_t n) {
    auto buffer = mem::IoBuffer::kernel(&n, sizeof(n));
    return file.write(buffer, nullptr);
}
Result<std::uint64_t> get(vfs::File& file) {
    std::uint64_t n = 0;
    auto buffer = mem::IoBuffer::kernel(&n, sizeof(n));
    (void)TRY(file.read(buffer, nullptr));
    return n;
}

class EventTest : public SchedTest {};

TEST_F(EventTest, CounterAndSemaphore) {
    auto counter = make_event(3, EventFile::Kind::kCounter, abi::kO_NONBLOCK);
    EXPECT_TRUE(put(*counter, 4).ok());
    EXPECT_EQ(*get(*counter), 7u);
    EXPECT_EQ(get(*counter).error(), Errno::kEAGAIN);
    EXPECT_EQ(put(*counter, UINT64_MAX).error(), Errno::kEINVAL);
    EXPECT_TRUE(put(*counter, UINT64_MAX - 1).ok());
    EXPECT_EQ(counter->poll(nullptr), vfs::kPollIn);
    EXPECT_EQ(put(*counter, 1).error(), Errno::kEAGAIN);
    auto semaphore = make_event(2, EventFile::Kind::kSemaphore, abi::kO_NONBLOCK);
    EXPECT_EQ(*get(*semaphore), 1u);
    EXPECT_EQ(*get(*semaphore), 1u);
    EXPECT_EQ(get(*semaphore).error(), Errno::kEAGAIN);
    char small[4];
    auto buffer = mem::IoBuffer::kernel(small, sizeof(small));
    EXPECT_EQ(semaphore->read(buffer, nullptr).error(), Errno::kEINVAL);
}

TEST_F(EventTest, ReadersAndWritersWait) {
    auto event = make_event();
    std::uint64_t got = 0;
    spawn([&] { got = *get(*event); });
    sched::yield();
    EXPECT_TRUE(put(*event, 5).ok());
    join_all();
    EXPECT_EQ(got, 5u);
    EXPECT_TRUE(put(*event, UINT64_MAX - 1).ok());
    bool written = false;
    spawn([&] { written = put(*event, 9).ok(); });
    sched::yield();
    EXPECT_FALSE(written);
    EXPECT_EQ(*get(*event), UINT64_MAX - 1);
    join_all();
    EXPECT_EQ(*get(*event), 9u);
}

class TimerFileTest : public SchedTest {
protected:
    void SetUp() override {
        SchedTest::SetUp();
        init_timer_files();
    }
    static TimerFile& timer(const Ref<vfs::File>& f) { return static_cast<TimerFile&>(*f); }
    TimerFile::Setting before;
};

TEST_F(TimerFileTest, OneShot) {
    auto file = *TimerFile::create(TimerFile::Clock::kMonotonic, 0);
    ASSERT_TRUE(timer(file).set({5 * kMs, 0}, TimerFile::Base::kRelative, &before).ok());
    EXPECT_EQ(timer(file).get().value_ns, 5 * kMs);
    const std::uint64_t start = time::monotonic_ns();
    EXPECT_EQ(*get(*file), 1u);
    EXPECT_EQ(time::monotonic_ns() - start, 5 * kMs);
    EXPECT_EQ(timer(file).get().value_ns, 0u);
    EXPECT_EQ(file->poll(nullptr), 0u);
}

TEST_F(TimerFileTest, PeriodicCountsWhatWasMissed) {
    auto file = *TimerFile::create(TimerFile::Clock::kMonotonic, abi::kO_NONBLOCK);
    ASSERT_TRUE(timer(file).set({2 * kMs, 3 * kMs}, TimerFile::Base::kRelative, &before).ok());
    EXPECT_EQ(get(*file).error(), Errno::kEAGAIN);
    compute(12 * kMs);  // 2, 5, 8, 11
    EXPECT_EQ(timer(file).get().value_ns, 2 * kMs);
    EXPECT_EQ(*get(*file), 4u);
    EXPECT_EQ(get(*file).error(), Errno::kEAGAIN);
    compute(2 * kMs);
    EXPECT_EQ(*get(*file), 1u);
    ASSERT_TRUE(timer(file).set({0, 0}, TimerFile::Base::kRelative, &before).ok());
    EXPECT_EQ(before.interval_ns, 3 * kMs);
    EXPECT_EQ(before.value_ns, 3 * kMs);
    compute(20 * kMs);
    EXPECT_EQ(get(*file).error(), Errno::kEAGAIN);
}

TEST_F(TimerFileTest, AbsoluteTimesInThePastFireAtOnce) {
    auto file = *TimerFile::create(TimerFile::Clock::kMonotonic, 0);
    ASSERT_TRUE(timer(file).set({1, 0}, TimerFile::Base::kAbsolute, &before).ok());
    EXPECT_EQ(*get(*file), 1u);
}

TEST_F(TimerFileTest, TheWallClockMoves) {
    auto file = *TimerFile::create(TimerFile::Clock::kRealtime, abi::kO_NONBLOCK);
    auto relative = *TimerFile::create(TimerFile::Clock::kRealtime, abi::kO_NONBLOCK);
    auto canceled = *TimerFile::create(TimerFile::Clock::kRealtime, abi::kO_NONBLOCK);
    const std::uint64_t now = time::realtime_ns();
    ASSERT_TRUE(timer(file).set({now + 1000 * kMs, 0}, TimerFile::Base::kAbsolute, &before).ok());
    ASSERT_TRUE(timer(relative).set({1000 * kMs, 0}, TimerFile::Base::kRelative, &before).ok());
    ASSERT_TRUE(timer(canceled)
                    .set({now + 5000 * kMs, 0}, TimerFile::Base::kAbsoluteCancelOnSet, &before)
                    .ok());
    time::set_realtime_ns(now + 999 * kMs);
    EXPECT_EQ(get(*canceled).error(), Errno::kECANCELED);
    EXPECT_EQ(get(*canceled).error(), Errno::kEAGAIN);
    compute(2 * kMs);
    EXPECT_EQ(*get(*file), 1u);
    EXPECT_EQ(get(*relative).error(), Errno::kEAGAIN);
    compute(1000 * kMs);
    EXPECT_EQ(*get(*relative), 1u);
}

class PollTest : public SchedTest {};

TEST_F(PollTest, ReturnsAtOnceWhenSomethingHolds) {
    auto a = make_event();
    auto b = make_event(1);
    PollRequest requests[] = {{a, vfs::kPollIn}, {nullptr, 0}, {b, vfs::kPollIn | vfs::kPollOut}};
    EXPECT_EQ(*poll_files(requests, time::kForever), 1u);
    EXPECT_EQ(requests[0].result, 0u);
    EXPECT_EQ(requests[2].result, vfs::kPollIn | vfs::kPollOut);
    EXPECT_EQ(*poll_files(std::span(requests).first(2), 0), 0u);
}

TEST_F(PollTest, WaitsForAnyAndForTime) {
    std::vector<Ref<vfs::File>> files;
    std::vector<PollRequest> requests;
    for (int i = 0; i < 60; i++) {
        files.push_back(make_event());
        requests.push_back({files.back(), vfs::kPollIn});
    }
    const time::Deadline deadline = time::deadline_after(3 * kMs);
    EXPECT_EQ(*poll_files(requests, deadline), 0u);
    EXPECT_EQ(time::monotonic_ns(), deadline);
    std::uint32_t count = 0;
    spawn([&] { count = *poll_files(requests, time::kForever); });
    sched::yield();
    EXPECT_TRUE(put(*files[47], 1).ok());
    join_all();
    EXPECT_EQ(count, 1u);
    EXPECT_EQ(requests[47].result, vfs::kPollIn);
}

TEST_F(PollTest, SignalsInterrupt) {
    auto a = make_event();
    Errno error = Errno::kOk;
    Thread& t = spawn([&] {
        PollRequest requests[] = {{a, vfs::kPollIn}};
        error = poll_files(requests, time::kForever).error();
        Thread::current().work = 0;
    });
    sched::yield();
    t.interrupt(hal::kWorkSignal);
    join_all();
    EXPECT_EQ(error, Errno::kEINTR);
}

class EpollTest : public SchedTest {
protected:
    void SetUp() override {
        SchedTest::SetUp();
        init_epoll();
        file = *EpollFile::create();
    }
    void TearDown() override {
        file = nullptr;
        SchedTest::TearDown();
    }
    EpollFile& epoll() { return static_cast<EpollFile&>(*file); }
    static EpollFile& epoll(const Ref<vfs::File>& f) { return static_cast<EpollFile&>(*f); }
    Result<std::uint32_t> wait(std::uint32_t limit = 16, time::Deadline deadline = 0) {
        return epoll().wait(mem::UserPtr<EpollEvent>(reinterpret_cast<std::uintptr_t>(events)),
                            limit, deadline);
    }
    Ref<vfs::File> file;
    EpollEvent events[16];
};

TEST_F(EpollTest, AddModifyRemove) {
    auto e = make_event(1);
    EXPECT_EQ(epoll().modify(3, *e, {vfs::kPollIn, 7}).error(), Errno::kENOENT);
    EXPECT_TRUE(epoll().add(3, *e, {vfs::kPollIn, 7}).ok());
    EXPECT_EQ(epoll().add(3, *e, {vfs::kPollIn, 7}).error(), Errno::kEEXIST);
    EXPECT_TRUE(epoll().add(4, *e, {vfs::kPollIn, 8}).ok())
        << "the same file by another descriptor";
    EXPECT_EQ(*wait(), 2u);
    EXPECT_EQ(events[0].events, vfs::kPollIn);
    EXPECT_EQ(events[0].data + events[1].data, 15u);
    EXPECT_TRUE(epoll().remove(4, *e).ok());
    EXPECT_EQ(epoll().remove(4, *e).error(), Errno::kENOENT);
    EXPECT_TRUE(epoll().modify(3, *e, {vfs::kPollOut, 9}).ok());
    EXPECT_EQ(*wait(), 1u);
    EXPECT_EQ(events[0].events, vfs::kPollOut);
    EXPECT_EQ(events[0].data, 9u);
    EXPECT_EQ(epoll().add(5, *file, {vfs::kPollIn, 0}).error(), Errno::kEINVAL);
}

TEST_F(EpollTest, LevelAndEdge) {
    auto level = make_event();
    auto edge = make_event();
    ASSERT_TRUE(epoll().add(1, *level, {vfs::kPollIn, 1}).ok());
    ASSERT_TRUE(epoll().add(2, *edge, {vfs::kPollIn | kEpollEdge, 2}).ok());
    EXPECT_EQ(*wait(), 0u);
    (void)put(*level, 1);
    (void)put(*edge, 1);
    EXPECT_EQ(*wait(), 2u);
    EXPECT_EQ(*wait(), 1u) << "the level holds still";
    EXPECT_EQ(events[0].data, 1u);
    (void)put(*edge, 1);
    EXPECT_EQ(*wait(), 2u) << "a new edge";
    EXPECT_EQ(*get(*level), 1u);
    EXPECT_EQ(*wait(), 0u);
}

TEST_F(EpollTest, OneShotIsArmedByModify) {
    auto e = make_event(1);
    ASSERT_TRUE(epoll().add(1, *e, {vfs::kPollIn | kEpollOneShot, 1}).ok());
    EXPECT_EQ(*wait(), 1u);
    EXPECT_EQ(*wait(), 0u);
    (void)put(*e, 1);
    EXPECT_EQ(*wait(), 0u);
    ASSERT_TRUE(epoll().modify(1, *e, {vfs::kPollIn | kEpollOneShot, 1}).ok());
    EXPECT_EQ(*wait(), 1u);
}

TEST_F(EpollTest, LimitTakesTurns) {
    std::vector<Ref<vfs::File>> files;
    for (int i = 0; i < 5; i++) {
        files.push_back(make_event(1));
        ASSERT_TRUE(
            epoll().add(i, *files.back(), {vfs::kPollIn, static_cast<std::uint64_t>(i)}).ok());
    }
    std::vector<std::uint64_t> seen;
    for (int i = 0; i < 5; i++) {
        ASSERT_EQ(*wait(1), 1u);
        seen.push_back(events[0].data);
    }
    EXPECT_EQ(seen, (std::vector<std::uint64_t>{0, 1, 2, 3, 4}))
        << "level-triggered ones go to the end";
}

TEST_F(EpollTest, AClosedFileLeaves) {
    auto other = *EpollFile::create();
    {
        auto e = make_event(1);
        ASSERT_TRUE(epoll().add(1, *e, {vfs::kPollIn, 1}).ok());
        ASSERT_TRUE(epoll(other).add(1, *e, {vfs::kPollIn, 1}).ok());
        EXPECT_EQ(*wait(), 1u);
    }
    EXPECT_EQ(*wait(), 0u);
    EXPECT_EQ(other->poll(nullptr), 0u);
}

TEST_F(EpollTest, AnEpollThatEndsLetsGoOfItsFiles) {
    auto e = make_event(1);
    {
        auto other = *EpollFile::create();
        ASSERT_TRUE(epoll(other).add(1, *e, {vfs::kPollIn, 1}).ok());
    }
    EXPECT_EQ(e->watchers.load(), nullptr);
    (void)put(*e, 1);
}

TEST_F(EpollTest, WaitsAndTimesOut) {
    auto e = make_event();
    ASSERT_TRUE(epoll().add(1, *e, {vfs::kPollIn, 1}).ok());
    const time::Deadline deadline = time::deadline_after(2 * kMs);
    EXPECT_EQ(*wait(16, deadline), 0u);
    EXPECT_EQ(time::monotonic_ns(), deadline);
    std::uint32_t count = 0;
    spawn([&] { count = *wait(16, time::kForever); });
    sched::yield();
    (void)put(*e, 1);
    join_all();
    EXPECT_EQ(count, 1u);
}

TEST_F(EpollTest, BadMemoryLosesNoEvent) {
    auto e = make_event(1);
    ASSERT_TRUE(epoll().add(1, *e, {vfs::kPollIn | kEpollEdge, 1}).ok());
    host::set_bad_user_range(events, sizeof(events));
    EXPECT_EQ(wait().error(), Errno::kEFAULT);
    host::set_bad_user_range(nullptr, 0);
    EXPECT_EQ(*wait(), 1u);
}

TEST_F(EpollTest, Nested) {
    auto inner = *EpollFile::create();
    auto e = make_event();
    ASSERT_TRUE(epoll(inner).add(1, *e, {vfs::kPollIn, 1}).ok());
    ASSERT_TRUE(epoll().add(2, *inner, {vfs::kPollIn, 2}).ok());
    EXPECT_EQ(*wait(), 0u);
    std::uint32_t count = 0;
    spawn([&] { count = *wait(16, time::kForever); });
    sched::yield();
    (void)put(*e, 1);
    join_all();
    EXPECT_EQ(count, 1u);
    EXPECT_EQ(events[0].data, 2u);
    EXPECT_EQ(epoll(inner).add(3, *file, {vfs::kPollIn, 0}).error(), Errno::kELOOP);
}

TEST_F(EpollTest, NestingHasALimit) {
    std::vector<Ref<vfs::File>> chain{*EpollFile::create()};
    for (int i = 0; i < 4; i++) {
        auto outer = *EpollFile::create();
        ASSERT_TRUE(epoll(outer).add(1, *chain.back(), {vfs::kPollIn, 0}).ok()) << i;
        chain.push_back(outer);
    }
    auto outermost = *EpollFile::create();
    EXPECT_EQ(epoll(outermost).add(1, *chain.back(), {vfs::kPollIn, 0}).error(), Errno::kELOOP);
    // As well from below.
    EXPECT_EQ(epoll(chain.front()).add(1, *outermost, {vfs::kPollIn, 0}).error(), Errno::kELOOP);
}

TEST_F(EpollTest, ExclusiveWakesOne) {
    auto e = make_event(0, EventFile::Kind::kSemaphore);
    auto other = *EpollFile::create();
    EXPECT_EQ(epoll().add(1, *e, {vfs::kPollIn | kEpollExclusive | kEpollOneShot, 1}).error(),
              Errno::kEINVAL);
    EXPECT_EQ(epoll().add(1, *other, {vfs::kPollIn | kEpollExclusive, 1}).error(), Errno::kEINVAL);
    int woken = 0;
    EpollEvent got[2];
    for (int i = 0; i < 2; i++) {
        auto& ep = i == 0 ? epoll() : epoll(other);
        ASSERT_TRUE(ep.add(1, *e, {vfs::kPollIn | kEpollExclusive, 1}).ok());
        spawn([&ep, &woken, &got, i] {
            const auto n =
                ep.wait(mem::UserPtr<EpollEvent>(reinterpret_cast<std::uintptr_t>(&got[i])), 1,
                        time::deadline_after(5 * kMs));
            if (n.ok()) woken += static_cast<int>(*n);
        });
    }
    EXPECT_EQ(epoll().modify(1, *e, {vfs::kPollIn, 1}).error(), Errno::kEINVAL);
    sched::yield();
    (void)put(*e, 1);
    sched::yield();
    EXPECT_EQ(*get(*e), 1u);
    join_all();
    EXPECT_EQ(woken, 1);
}

TEST_F(EpollTest, ATimerWakesItFromItsInterrupt) {
    auto t = *TimerFile::create(TimerFile::Clock::kMonotonic, 0);
    ASSERT_TRUE(epoll().add(1, *t, {vfs::kPollIn, 5}).ok());
    TimerFile::Setting before;
    ASSERT_TRUE(
        static_cast<TimerFile&>(*t).set({kMs, 0}, TimerFile::Base::kRelative, &before).ok());
    EXPECT_EQ(*wait(16, time::kForever), 1u);
    EXPECT_EQ(events[0].data, 5u);
}

// Threads that wait on one epoll, write, close and change what is watched; every written event is read by somebody.
TEST_F(EpollTest, RandomUseLosesNoEvent) {
    for (unsigned seed = 1; seed <= 20; seed++) {
        std::minstd_rand random(seed);
        file = *EpollFile::create();
        std::vector<Ref<vfs::File>> files;
        for (int i = 0; i < 6; i++) {
            files.push_back(make_event(0, EventFile::Kind::kCounter, abi::kO_NONBLOCK));
            std::uint32_t mode = vfs::kPollIn;
            if (i % 3 == 1) mode |= kEpollEdge;
            if (i % 3 == 2) mode |= kEpollOneShot;
            ASSERT_TRUE(epoll().add(i, *files.back(), {mode, static_cast<std::uint64_t>(i)}).ok());
        }
        std::uint64_t written = 0;
        std::uint64_t taken = 0;
        int writers = 2;
        const auto maybe_preempt = [&] {
            if (random() % 3 == 0) preempt_here();
            if (random() % 5 == 0) compute(random() % 20'000);
        };
        for (int w = 0; w < 2; w++) {
            spawn([&] {
                for (int n = 0; n < 100; n++) {
                    written++;
                    ASSERT_TRUE(put(*files[random() % files.size()], 1).ok());
                    maybe_preempt();
                }
                writers--;
            });
        }
        for (int r = 0; r < 3; r++) {
            spawn([&] {
                EpollEvent got[2];
                while (writers != 0 || taken != written) {
                    const auto n = epoll().wait(
                        mem::UserPtr<EpollEvent>(reinterpret_cast<std::uintptr_t>(got)), 2,
                        time::deadline_after(writers != 0 ? 1'000'000 : 10'000));
                    ASSERT_TRUE(n.ok());
                    for (std::uint32_t i = 0; i < *n; i++) {
                        maybe_preempt();
                        auto& f = *files[got[i].data];
                        const auto value = get(f);
                        if (value.ok()) taken += *value;
                        if (got[i].data % 3 == 2) {
                            const EpollEvent again{vfs::kPollIn | kEpollOneShot, got[i].data};
                            ASSERT_TRUE(
                                epoll().modify(static_cast<int>(got[i].data), f, again).ok());
                        }
                    }
                }
            });
        }
        join_all();
        EXPECT_EQ(taken, 200u) << "seed " << seed;
    }
}

}  // namespace
}  // namespace kiln::posix
