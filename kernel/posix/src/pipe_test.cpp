#include <kiln/posix/pipe.hpp>

#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/mem/pages.hpp>
#include <kiln/posix/poll.hpp>

#include <kiln/sched_testing/test_machine.hpp>

namespace kiln::posix {
namespace {

using sched::Thread;
using sched::testing::compute;
using sched::testing::preempt_here;
using sched::testing::SchedTest;

class PipeTest : public SchedTest {
protected:
    void SetUp() override {
        static const bool ready = [] {
            mem::init();
            return true;
        }();
        ASSERT_TRUE(ready);
        SchedTest::SetUp();
        free_pages_ = mem::page_stats().free;
        open();
    }
    void TearDown() override {
        read_end = write_end = nullptr;
        SchedTest::TearDown();
        EXPECT_EQ(mem::page_stats().free, free_pages_) << "pages of pipes are given back";
    }
    void open(std::uint32_t flags = 0) {
        auto ends = create_pipe(flags);
        ASSERT_TRUE(ends.ok());
        read_end = std::move(ends->read_end);
        write_end = std::move(ends->write_end);
    }
    static Result<std::size_t> put(vfs::File& file, std::string_view text) {
        auto buffer = mem::IoBuffer::kernel(std::as_bytes(std::span(text)));
        return file.write(buffer, nullptr);
    }
    static std::string get(vfs::File& file, std::size_t n, Errno* error = nullptr) {
        std::string text(n, '?');
        auto buffer = mem::IoBuffer::kernel(text.data(), n);
        auto result = file.read(buffer, nullptr);
        if (error) *error = result.error();
        text.resize(result.ok() ? *result : 0);
        return text;
    }
    Pipe& pipe() { return static_cast<PipeFile&>(*read_end).pipe(); }

    Ref<vfs::File> read_end;
    Ref<vfs::File> write_end;
    std::uint64_t free_pages_ = 0;
};

TEST_F(PipeTest, BytesComeOutInOrder) {
    EXPECT_EQ(*put(*write_end, "hello "), 6u);
    EXPECT_EQ(*put(*write_end, "world"), 5u);
    EXPECT_EQ(pipe().readable_bytes(), 11u);
    EXPECT_EQ(get(*read_end, 4), "hell");
    EXPECT_EQ(get(*read_end, 100), "o world");
}

TEST_F(PipeTest, EndOfFileAndBrokenPipe) {
    EXPECT_EQ(*put(*write_end, "x"), 1u);
    write_end = nullptr;
    EXPECT_EQ(get(*read_end, 10), "x");
    Errno error = Errno::kEINVAL;
    EXPECT_EQ(get(*read_end, 10, &error), "");
    EXPECT_EQ(error, Errno::kOk);
    open();
    read_end = nullptr;
    EXPECT_EQ(put(*write_end, "x").error(), Errno::kEPIPE);
}

TEST_F(PipeTest, NonblockingEndsSayEagain) {
    open(abi::kO_NONBLOCK);
    Errno error = Errno::kOk;
    get(*read_end, 1, &error);
    EXPECT_EQ(error, Errno::kEAGAIN);
    const std::string big(70000, 'x');
    EXPECT_EQ(*put(*write_end, big), 65536u);
    EXPECT_EQ(put(*write_end, "y").error(), Errno::kEAGAIN);
    // Room for less than the whole of a small write: all or nothing.
    EXPECT_EQ(get(*read_end, 4096).size(), 4096u);
    EXPECT_EQ(*put(*write_end, std::string(96, 'z')), 96u);
    EXPECT_EQ(put(*write_end, std::string(4096, 'y')).error(), Errno::kEAGAIN);
    EXPECT_EQ(*put(*write_end, std::string(4097, 'y')), 4000u);
    EXPECT_EQ(get(*read_end, 100000).size(), 65536u);
}

TEST_F(PipeTest, AReaderWaitsForAWriter) {
    std::string got;
    spawn([&] { got = get(*read_end, 10); });
    sched::yield();
    EXPECT_EQ(*put(*write_end, "abc"), 3u);
    join_all();
    EXPECT_EQ(got, "abc");
}

TEST_F(PipeTest, AWriterWaitsForRoomAndForTheLastReader) {
    Result<std::size_t> written = std::size_t{0};
    spawn([&] { written = put(*write_end, std::string(200'000, 'x')); });
    std::size_t got = 0;
    while (got < 200'000) got += get(*read_end, 30'000).size();
    join_all();
    EXPECT_EQ(*written, 200'000u);

    Errno error = Errno::kOk;
    ASSERT_EQ(*put(*write_end, std::string(65536, 'x')), 65536u);
    spawn([&] { error = put(*write_end, "y").error(); });
    sched::yield();
    read_end = nullptr;
    join_all();
    EXPECT_EQ(error, Errno::kEPIPE);
}

TEST_F(PipeTest, SignalsEndTheWait) {
    Errno error = Errno::kOk;
    Thread& t = spawn([&] {
        get(*read_end, 1, &error);
        Thread::current().work = 0;
    });
    sched::yield();
    t.interrupt(hal::kWorkSignal);
    join_all();
    EXPECT_EQ(error, Errno::kERESTARTSYS);
}

TEST_F(PipeTest, BadMemory) {
    char byte = 0;
    host::set_bad_user_range(&byte, 1);
    auto bad = mem::IoBuffer::user(reinterpret_cast<std::uintptr_t>(&byte), 1);
    EXPECT_EQ(write_end->write(bad, nullptr).error(), Errno::kEFAULT);
    EXPECT_EQ(pipe().readable_bytes(), 0u);
    EXPECT_EQ(*put(*write_end, "q"), 1u);
    EXPECT_EQ(read_end->read(bad, nullptr).error(), Errno::kEFAULT);
    EXPECT_EQ(pipe().readable_bytes(), 1u) << "nothing is lost";
    host::set_bad_user_range(nullptr, 0);
}

TEST_F(PipeTest, CapacityCanBeChanged) {
    EXPECT_EQ(pipe().capacity(), 65536u);
    EXPECT_EQ(*pipe().set_capacity(5000), 8192u);
    EXPECT_EQ(*put(*write_end, std::string(5000, 'a') + std::string(3000, 'b')), 8000u);
    EXPECT_EQ(get(*read_end, 1000).size(), 1000u);
    EXPECT_EQ(pipe().set_capacity(4096).error(), Errno::kEBUSY);
    EXPECT_EQ(pipe().set_capacity(2 * Pipe::kMaxCapacity).error(), Errno::kEPERM);
    EXPECT_EQ(*pipe().set_capacity(100'000), 131072u);
    EXPECT_EQ(get(*read_end, 10000), std::string(4000, 'a') + std::string(3000, 'b'));
}

TEST_F(PipeTest, PollSaysWhatCanBeDone) {
    EXPECT_EQ(read_end->poll(nullptr), 0u);
    EXPECT_EQ(write_end->poll(nullptr), vfs::kPollOut | vfs::kPollWrNorm);
    ASSERT_EQ(*put(*write_end, std::string(65536, 'x')), 65536u);
    EXPECT_EQ(read_end->poll(nullptr), vfs::kPollIn | vfs::kPollRdNorm);
    EXPECT_EQ(write_end->poll(nullptr), 0u);
    write_end = nullptr;
    EXPECT_EQ(read_end->poll(nullptr), vfs::kPollIn | vfs::kPollRdNorm | vfs::kPollHup);
    open();
    read_end = nullptr;
    EXPECT_EQ(write_end->poll(nullptr) & vfs::kPollErr, vfs::kPollErr);
}

TEST_F(PipeTest, FifoOpenersMeet) {
    auto fifo = *Pipe::create();
    EXPECT_EQ(open_fifo(fifo, abi::kO_WRONLY | abi::kO_NONBLOCK).error(), Errno::kENXIO);
    std::string got;
    spawn([&] {
        auto reader = open_fifo(fifo, abi::kO_RDONLY);
        ASSERT_TRUE(reader.ok());
        got = get(**reader, 10);
    });
    spawn([&] {
        auto writer = open_fifo(fifo, abi::kO_WRONLY);
        ASSERT_TRUE(writer.ok());
        EXPECT_EQ(*put(**writer, "fifo"), 4u);
    });
    join_all();
    EXPECT_EQ(got, "fifo");
}

TEST_F(PipeTest, RandomReadersAndWritersLoseNothing) {
    for (unsigned seed = 1; seed <= 15; seed++) {
        open();
        std::minstd_rand random(seed);
        const auto maybe_preempt = [&] {
            if (random() % 3 == 0) preempt_here();
            if (random() % 9 == 0) compute(random() % 30'000);
        };
        std::array<std::size_t, 256> sent{};
        std::array<std::size_t, 256> received{};
        int writers = 3;
        for (int w = 0; w < 3; w++) {
            spawn([&, w] {
                for (int i = 0; i < 30; i++) {
                    const std::size_t n = random() % (random() % 4 ? 600 : 90'000) + 1;
                    const char c = static_cast<char>('a' + w);
                    const auto written = put(*write_end, std::string(n, c));
                    ASSERT_TRUE(written.ok());
                    EXPECT_EQ(*written, n);
                    sent[static_cast<unsigned char>(c)] += n;
                    maybe_preempt();
                }
                if (--writers == 0) write_end = nullptr;
            });
        }
        for (int r = 0; r < 2; r++) {
            spawn([&] {
                for (;;) {
                    const std::string text = get(*read_end, random() % 20'000 + 1);
                    if (text.empty()) break;
                    for (char c : text) received[static_cast<unsigned char>(c)]++;
                    maybe_preempt();
                }
            });
        }
        join_all();
        EXPECT_EQ(sent, received) << "seed " << seed;
    }
}

}  // namespace
}  // namespace kiln::posix
