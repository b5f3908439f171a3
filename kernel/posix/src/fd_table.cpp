#include <kiln/posix/fd_table.hpp>

#include <bit>
#include <cstring>
#include <new>
#include <utility>

#include <kiln/mem/heap.hpp>
#include <kiln/posix/file_locks.hpp>

namespace kiln::posix {
namespace {

constexpr std::uint32_t kBits = 64;
constexpr std::uint32_t kNone = UINT32_MAX;

bool test(const std::uint64_t* map, std::uint32_t bit) {
    return (map[bit / kBits] >> (bit % kBits) & 1) != 0;
}
void set(std::uint64_t* map, std::uint32_t bit, bool on) {
    const std::uint64_t mask = std::uint64_t{1} << (bit % kBits);
    if (on) {
        map[bit / kBits] |= mask;
    } else {
        map[bit / kBits] &= ~mask;
    }
}

/// Bytes of the block for `capacity` descriptors.
std::size_t block_bytes(std::uint32_t capacity) {
    return capacity * sizeof(vfs::File*) + 2 * (capacity / kBits) * sizeof(std::uint64_t);
}

/// close(2) of one descriptor, whatever others there are: the process's record locks on the file go.
void closed(vfs::File& file) {
    release_locks_of_descriptor(file);
    file.descriptor_closed();
}

}  // namespace

Result<Ref<FdTable>> FdTable::create() {
    auto table = adopt_ref(new (std::nothrow) FdTable());
    if (!table) return Errno::kENOMEM;
    TRY(table->grow(kBits - 1));
    return table;
}

FdTable::~FdTable() {
    close_all();
    mem::release(files_);
}

Result<void> FdTable::grow(std::uint32_t fd) {
    if (fd >= kMaxDescriptors) return Errno::kEMFILE;
    const std::uint32_t capacity = std::bit_ceil(fd < kBits ? kBits : fd + 1);
    auto* files = static_cast<vfs::File**>(mem::allocate_zeroed(block_bytes(capacity)));
    if (!files) return Errno::kENOMEM;
    auto* open = reinterpret_cast<std::uint64_t*>(files + capacity);
    auto* cloexec = open + capacity / kBits;
    vfs::File** unused = files;
    {
        sync::SpinGuard guard(lock_);
        if (capacity > capacity_) {
            if (capacity_ != 0) {
                std::memcpy(files, files_, capacity_ * sizeof(vfs::File*));
                std::memcpy(open, open_, capacity_ / kBits * sizeof(std::uint64_t));
                std::memcpy(cloexec, cloexec_, capacity_ / kBits * sizeof(std::uint64_t));
            }
            unused = std::exchange(files_, files);
            open_ = open;
            cloexec_ = cloexec;
            capacity_ = capacity;
        }
    }
    mem::release(unused);
    return {};
}

std::uint32_t FdTable::find_free_locked(std::uint32_t from) const {
    if (from < lowest_free_) from = lowest_free_;
    for (std::uint32_t word = from / kBits; word < capacity_ / kBits; word++) {
        std::uint64_t free = ~open_[word];
        if (word == from / kBits) free &= ~std::uint64_t{0} << (from % kBits);
        if (free != 0) return word * kBits + static_cast<std::uint32_t>(std::countr_zero(free));
    }
    return from > capacity_ ? from : capacity_;
}

void FdTable::put_locked(std::uint32_t fd, vfs::File* file, bool close_on_exec) {
    files_[fd] = file;
    set(open_, fd, true);
    set(cloexec_, fd, close_on_exec);
}

vfs::File* FdTable::take_locked(std::uint32_t fd) {
    vfs::File* file = std::exchange(files_[fd], nullptr);
    set(open_, fd, false);
    set(cloexec_, fd, false);
    if (fd < lowest_free_) lowest_free_ = fd;
    return file;
}

Result<int> FdTable::install(Ref<vfs::File> file, bool close_on_exec, int minimum,
                             std::uint64_t limit) {
    for (;;) {
        std::uint32_t fd;
        {
            sync::SpinGuard guard(lock_);
            fd = find_free_locked(static_cast<std::uint32_t>(minimum));
            if (fd >= limit) return Errno::kEMFILE;
            if (fd < capacity_) {
                // `minimum` skips lower numbers, which may be free.
                if (fd == lowest_free_) lowest_free_ = fd + 1;
                put_locked(fd, file.release(), close_on_exec);
                return static_cast<int>(fd);
            }
        }
        TRY(grow(fd));
    }
}

Result<void> FdTable::install_at(int fd, Ref<vfs::File> file, bool close_on_exec,
                                 std::uint64_t limit) {
    const auto number = static_cast<std::uint32_t>(fd);
    if (fd < 0 || number >= limit || number >= kMaxDescriptors) return Errno::kEBADF;
    if (number >= capacity_) TRY(grow(number));
    Ref<vfs::File> old;
    {
        sync::SpinGuard guard(lock_);
        old = Ref<vfs::File>::adopt(files_[number]);
        put_locked(number, file.release(), close_on_exec);
    }
    if (old) closed(*old);
    return {};
}

Result<void> FdTable::close(int fd) {
    Ref<vfs::File> file;
    {
        sync::SpinGuard guard(lock_);
        const auto number = static_cast<std::uint32_t>(fd);
        if (number >= capacity_ || !files_[number]) return Errno::kEBADF;
        file = Ref<vfs::File>::adopt(take_locked(number));
    }
    closed(*file);
    return {};
}

void FdTable::close_range(unsigned first, unsigned last, bool only_set_cloexec) {
    for (std::uint32_t fd = first; fd <= last;) {
        Ref<vfs::File> file;
        {
            sync::SpinGuard guard(lock_);
            while (fd < capacity_ && fd <= last && !files_[fd]) fd++;
            if (fd >= capacity_ || fd > last) return;
            if (only_set_cloexec) {
                set(cloexec_, fd, true);
            } else {
                file = Ref<vfs::File>::adopt(take_locked(fd));
            }
        }
        if (file) closed(*file);
        if (fd == UINT32_MAX) return;
        fd++;
    }
}

void FdTable::close_all() { close_range(0, UINT32_MAX, false); }

void FdTable::close_on_exec() {
    for (std::uint32_t fd = 0;; fd++) {
        Ref<vfs::File> file;
        {
            sync::SpinGuard guard(lock_);
            while (fd < capacity_ && !test(cloexec_, fd)) fd++;
            if (fd >= capacity_) return;
            file = Ref<vfs::File>::adopt(take_locked(fd));
        }
        if (file) closed(*file);
    }
}

Result<bool> FdTable::close_on_exec_flag(int fd) {
    sync::SpinGuard guard(lock_);
    const auto number = static_cast<std::uint32_t>(fd);
    if (number >= capacity_ || !files_[number]) return Errno::kEBADF;
    return test(cloexec_, number);
}

Result<void> FdTable::set_close_on_exec(int fd, bool on) {
    sync::SpinGuard guard(lock_);
    const auto number = static_cast<std::uint32_t>(fd);
    if (number >= capacity_ || !files_[number]) return Errno::kEBADF;
    set(cloexec_, number, on);
    return {};
}

int FdTable::next_open(int from) {
    sync::SpinGuard guard(lock_);
    for (std::uint32_t fd = from < 0 ? 0 : static_cast<std::uint32_t>(from); fd < capacity_; fd++) {
        if (files_[fd]) return static_cast<int>(fd);
    }
    return -1;
}

Result<Ref<FdTable>> FdTable::clone() {
    auto copy = TRY(create());
    for (int fd = next_open(0); fd >= 0; fd = next_open(fd + 1)) {
        auto file = get(fd);
        auto cloexec = close_on_exec_flag(fd);
        if (!file.ok() || !cloexec.ok()) continue;  // closed meanwhile
        TRY(copy->install_at(fd, std::move(file).value(), *cloexec, kMaxDescriptors));
    }
    return copy;
}

}  // namespace kiln::posix
