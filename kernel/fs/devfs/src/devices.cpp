// The memory devices (Linux drivers/char/mem.c, random.c): /dev/null, zero, full, random, urandom.
#include <algorithm>

#include <kiln/mem/heap.hpp>
#include <kiln/mem/user_ptr.hpp>
#include <kiln/random/random.hpp>
#include <kiln/vfs/device.hpp>
#include <kiln/vm/anonymous_object.hpp>

namespace kiln::fs {
namespace {

// A device without positions, whose seeks succeed and say 0 (Linux's null_lseek()).
class MemoryDevice : public vfs::File {
public:
    bool is_seekable() const override { return true; }
    Result<std::uint64_t> seek(std::int64_t, int) override { return std::uint64_t{0}; }
    Result<void> sync() override { return Errno::kEINVAL; }

protected:
    explicit MemoryDevice(std::uint32_t flags) : File(flags) {}
    static std::size_t swallow(mem::IoBuffer& from) {
        const std::size_t n = from.remaining();
        from.skip(n);
        return n;
    }
};

class NullFile final : public MemoryDevice {
public:
    explicit NullFile(std::uint32_t flags) : MemoryDevice(flags) {}
    Result<std::size_t> read(mem::IoBuffer&, std::uint64_t*) override { return std::size_t{0}; }
    Result<std::size_t> write(mem::IoBuffer& from, std::uint64_t*) override {
        return swallow(from);
    }
};

class ZeroFile : public MemoryDevice {
public:
    explicit ZeroFile(std::uint32_t flags) : MemoryDevice(flags) {}
    Result<std::size_t> read(mem::IoBuffer& to, std::uint64_t*) override {
        return to.zero(to.remaining());
    }
    Result<std::size_t> write(mem::IoBuffer& from, std::uint64_t*) override {
        return swallow(from);
    }
    // mmap(2): memory of its own for each mapping.
    Result<Ref<vm::MemoryObject>> memory_object() override {
        return Ref<vm::MemoryObject>(
            TRY(vm::AnonymousObject::create(vm::AnonymousObject::kMaxSize)));
    }
};

class FullFile final : public ZeroFile {
public:
    explicit FullFile(std::uint32_t flags) : ZeroFile(flags) {}
    Result<std::size_t> write(mem::IoBuffer&, std::uint64_t*) override { return Errno::kENOSPC; }
    Result<Ref<vm::MemoryObject>> memory_object() override { return Errno::kENODEV; }
};

constexpr std::uint32_t kRndGetEntropyCount = 0x80045200;  // RNDGETENTCNT, linux/random.h
constexpr std::int32_t kEntropyBits = 256;                 // what Linux ≥ 5.18 says once seeded

class RandomFile final : public MemoryDevice {
public:
    explicit RandomFile(std::uint32_t flags) : MemoryDevice(flags) {}
    Result<std::size_t> read(mem::IoBuffer& to, std::uint64_t*) override {
        std::size_t total = 0;
        std::byte chunk[256];
        while (to.remaining() != 0) {
            const std::span<std::byte> part(chunk, std::min(to.remaining(), sizeof(chunk)));
            random::fill(part);
            const Result<std::size_t> moved = to.copy_out(part.data(), part.size());
            if (!moved.ok()) {
                if (total == 0) return moved.error();
                break;
            }
            total += moved.value();
            if (moved.value() < part.size()) break;
        }
        return total;
    }
    Result<std::size_t> write(mem::IoBuffer& from, std::uint64_t*) override {
        std::size_t total = 0;
        std::byte chunk[256];
        while (from.remaining() != 0) {
            const Result<std::size_t> n =
                from.copy_in(chunk, std::min(from.remaining(), sizeof(chunk)));
            if (!n.ok()) {
                if (total == 0) return n.error();
                break;
            }
            random::add_entropy({chunk, n.value()});
            total += n.value();
        }
        return total;
    }
    Result<std::int64_t> ioctl(std::uint32_t request, std::uintptr_t argument) override {
        if (request != kRndGetEntropyCount) return Errno::kENOTTY;
        TRY(mem::UserPtr<std::int32_t>(argument).write(kEntropyBits));
        return std::int64_t{0};
    }
};

template <typename F>
Result<Ref<vfs::File>> open_device(const vfs::OpenContext& context) {
    return Ref<vfs::File>(TRY(mem::make_ref<F>(context.flags)));
}

}  // namespace
}  // namespace kiln::fs

KILN_CHAR_DEVICE(null, "null", 1, 3, 0666, kiln::fs::open_device<kiln::fs::NullFile>);
KILN_CHAR_DEVICE(zero, "zero", 1, 5, 0666, kiln::fs::open_device<kiln::fs::ZeroFile>);
KILN_CHAR_DEVICE(full, "full", 1, 7, 0666, kiln::fs::open_device<kiln::fs::FullFile>);
KILN_CHAR_DEVICE(random, "random", 1, 8, 0666, kiln::fs::open_device<kiln::fs::RandomFile>);
KILN_CHAR_DEVICE(urandom, "urandom", 1, 9, 0666, kiln::fs::open_device<kiln::fs::RandomFile>);
