#include <kiln/posix/epoll.hpp>

#include <algorithm>
#include <new>

#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/base/format.hpp>
#include <kiln/base/init_call.hpp>
#include <kiln/mem/heap.hpp>

namespace kiln::posix {
namespace {

constinit sched::Mutex g_links{sync::LockRank::kEpollLinks};

constexpr std::uint32_t kPrivateBits = kEpollExclusive | kEpollWakeUp | kEpollOneShot | kEpollEdge;
constexpr std::uint32_t kAlways = vfs::kPollErr | vfs::kPollHup;
// What EPOLLEXCLUSIVE goes together with (epoll_ctl(2)).
constexpr std::uint32_t kExclusiveAllowed = vfs::kPollIn | vfs::kPollOut | vfs::kPollErr |
                                            vfs::kPollHup | kEpollWakeUp | kEpollEdge |
                                            kEpollExclusive;
/// Epolls in a chain of epolls that watch each other (EP_MAX_NESTS).
constexpr int kMaxNests = 4;
constexpr int kTooDeep = 1000;

EpollFile* as_epoll(vfs::File& file) {
    return file.kind() == &EpollFile::kKind ? static_cast<EpollFile*>(&file) : nullptr;
}

/// Regular files and directories have no poll operation.
bool can_be_polled(const vfs::File& file) {
    vfs::Inode* inode = file.inode();
    if (!inode) return true;
    const std::uint32_t type = inode->mode() & vfs::kModeTypeMask;
    return type != vfs::kModeRegular && type != vfs::kModeDirectory;
}

}  // namespace

const char EpollFile::kKind = 0;

struct EpollFile::Registration {
    explicit Registration(Item& item) : entry(source_woke, &item) {}
    sched::WaitEntry entry;
    Registration* next = nullptr;
};

EpollFile::Item::Item(EpollFile& owner, vfs::File& watched, int fd, const EpollEvent& event)
    : epoll(&owner),
      file(&watched),
      key{&watched, fd},
      data(event.data),
      events(event.events | kAlways) {}

class EpollFile::ItemPollWaiter final : public vfs::PollWaiter {
public:
    explicit ItemPollWaiter(Item& item) : item_(item) {}
    void watch(sched::WaitQueue& queue) override {
        auto* registration = new (std::nothrow) Registration(item_);
        if (!registration) {
            failed = true;
            return;
        }
        registration->entry.exclusive = (item_.events & kEpollExclusive) != 0;
        registration->next = item_.registrations;
        item_.registrations = registration;
        queue.add(registration->entry);
    }
    bool failed = false;

private:
    Item& item_;
};

Result<Ref<vfs::File>> EpollFile::create() {
    return Ref<vfs::File>(TRY(mem::make_ref<EpollFile>()));
}

EpollFile::EpollFile() : File(abi::kO_RDWR) {}

EpollFile::~EpollFile() {
    sched::MutexGuard links(g_links);
    sched::MutexGuard scan(scan_lock_);
    while (Item* item = items_.first()) destroy(*item);
}

void EpollFile::destroy(Item& item) {
    // First the wait queues: from then on no wake-up finds the item.
    while (Registration* registration = item.registrations) {
        item.registrations = registration->next;
        registration->entry.queue->remove(registration->entry);
        delete registration;
    }
    {
        sync::IrqSpinGuard guard(ready_lock_);
        if (item.ready_node.is_linked()) {
            ready_.remove(item);
            ready_count_.fetch_sub(1, std::memory_order_relaxed);
        }
    }
    items_.remove(item);
    Item* previous = nullptr;
    for (Item* i = first_item_of(*item.file); i != &item; i = i->next_of_file) previous = i;
    if (previous) {
        previous->next_of_file = item.next_of_file;
    } else {
        item.file->watchers.store(item.next_of_file, std::memory_order_release);
    }
    delete &item;
}

void EpollFile::file_ends(vfs::File& file) {
    sched::MutexGuard links(g_links);
    while (Item* item = first_item_of(file)) {
        EpollFile& epoll = *item->epoll;
        sched::MutexGuard scan(epoll.scan_lock_);
        epoll.destroy(*item);
    }
}

/// Puts the item on the ready list and wakes who waits; true if somebody was there.
bool EpollFile::mark_ready(Item& item, std::uint32_t events) {
    {
        sync::IrqSpinGuard guard(ready_lock_);
        // EPOLLONESHOT has fired: nothing until epoll_ctl() arms it again.
        if ((item.events & ~kPrivateBits) == 0) return false;
        if (((item.events | kAlways) & events) == 0) return false;
        if (!item.ready_node.is_linked()) {
            ready_.push_back(item);
            ready_count_.fetch_add(1, std::memory_order_seq_cst);
        }
    }
    const bool woke = waiters_.wake() != 0;
    pollers_.wake(vfs::kPollIn | vfs::kPollRdNorm);
    return woke;
}

bool EpollFile::source_woke(sched::WaitEntry& entry, std::uint32_t events) {
    Item& item = *static_cast<Item*>(entry.cookie);
    const bool woke = item.epoll->mark_ready(item, events);
    // An exclusive wake-up that reached nobody goes to the next epoll.
    return entry.exclusive ? woke : true;
}

void EpollFile::look_at(Item& item) {
    const std::uint32_t events = item.file->poll(nullptr);
    if (events != 0) mark_ready(item, events);
}

int EpollFile::depth_below(const EpollFile& other) {
    if (this == &other) return kTooDeep;
    int depth = 0;
    sched::MutexGuard scan(scan_lock_);
    for (Item* item = items_.first(); item; item = items_.next(*item)) {
        EpollFile* inner = as_epoll(*item->file);
        if (!inner) continue;
        depth = std::max(depth, inner->depth_below(other) + 1);
        if (depth > kMaxNests) return kTooDeep;
    }
    return depth;
}

int EpollFile::height_above() {
    int height = 0;
    for (Item* item = first_item_of(*this); item; item = item->next_of_file) {
        height = std::max(height, item->epoll->height_above() + 1);
    }
    return height;
}

Result<void> EpollFile::add(int fd, vfs::File& file, const EpollEvent& event) {
    if (!can_be_polled(file)) return Errno::kEPERM;
    EpollFile* const inner = as_epoll(file);
    if (&file == this) return Errno::kEINVAL;
    if ((event.events & kEpollExclusive) != 0 &&
        (inner || (event.events & ~kExclusiveAllowed) != 0))
        return Errno::kEINVAL;
    sched::MutexGuard links(g_links);
    if (inner && inner->depth_below(*this) + 1 + height_above() > kMaxNests) return Errno::kELOOP;
    sched::MutexGuard scan(scan_lock_);
    if (find(fd, file)) return Errno::kEEXIST;
    auto* item = new (std::nothrow) Item(*this, file, fd, event);
    if (!item) return Errno::kENOMEM;
    items_.insert(*item);
    item->next_of_file = first_item_of(file);
    file.watchers.store(item, std::memory_order_release);
    ItemPollWaiter waiter(*item);
    const std::uint32_t events = file.poll(&waiter);
    if (waiter.failed) {
        destroy(*item);
        return Errno::kENOMEM;
    }
    if (events != 0) mark_ready(*item, events);
    return {};
}

Result<void> EpollFile::modify(int fd, vfs::File& file, const EpollEvent& event) {
    sched::MutexGuard scan(scan_lock_);
    Item* item = find(fd, file);
    if (!item) return Errno::kENOENT;
    if (((item->events | event.events) & kEpollExclusive) != 0) return Errno::kEINVAL;
    {
        sync::IrqSpinGuard guard(ready_lock_);
        item->events = event.events | kAlways;
        item->data = event.data;
    }
    look_at(*item);
    return {};
}

Result<void> EpollFile::remove(int fd, vfs::File& file) {
    sched::MutexGuard links(g_links);
    sched::MutexGuard scan(scan_lock_);
    Item* item = find(fd, file);
    if (!item) return Errno::kENOENT;
    destroy(*item);
    return {};
}

EpollFile::Item* EpollFile::pop_ready() {
    sync::IrqSpinGuard guard(ready_lock_);
    Item* item = ready_.pop_front();
    if (item) ready_count_.fetch_sub(1, std::memory_order_relaxed);
    return item;
}

Result<std::uint32_t> EpollFile::collect(mem::UserPtr<EpollEvent> out, std::uint32_t limit) {
    std::uint32_t stored = 0;
    Errno error = Errno::kOk;
    {
        sched::MutexGuard scan(scan_lock_);
        // Level-triggered items go back to the end at once, so look only at as many as there are now.
        for (std::uint32_t left = ready_count_.load(std::memory_order_relaxed);
             left != 0 && stored < limit; left--) {
            Item* item = pop_ready();
            if (!item) break;
            const std::uint32_t events = item->file->poll(nullptr) & item->events & ~kPrivateBits;
            if (events == 0) continue;
            const bool faulted = !(out + stored).write({.events = events, .data = item->data}).ok();
            if (!faulted) stored++;
            sync::IrqSpinGuard guard(ready_lock_);
            if (!faulted && (item->events & kEpollOneShot) != 0) {
                item->events &= kPrivateBits;
            } else if (faulted || (item->events & kEpollEdge) == 0) {
                if (!item->ready_node.is_linked()) {
                    if (faulted) {
                        ready_.push_front(*item);
                    } else {
                        ready_.push_back(*item);
                    }
                    ready_count_.fetch_add(1, std::memory_order_seq_cst);
                }
            }
            if (faulted) {
                error = Errno::kEFAULT;
                break;
            }
        }
    }
    // What is left is another waiter's.
    if (ready_count_.load(std::memory_order_relaxed) != 0) waiters_.wake();
    if (stored == 0 && error != Errno::kOk) return error;
    return stored;
}

Result<std::uint32_t> EpollFile::wait(mem::UserPtr<EpollEvent> out, std::uint32_t limit,
                                      time::Deadline deadline, std::uint64_t slack_ns) {
    (void)slack_ns;
    const auto has_ready = [this] { return ready_count_.load(std::memory_order_seq_cst) != 0; };
    for (;;) {
        if (has_ready()) {
            const std::uint32_t n = TRY(collect(out, limit));
            if (n != 0) return n;
        }
        if (deadline == 0) return std::uint32_t{0};
        sched::WaitEntry entry;
        entry.exclusive = true;
        const Result<void> waited =
            waiters_.wait(entry, has_ready, sched::Interruptible::kYes, deadline);
        if (waited.error() == Errno::kETIMEDOUT) {
            deadline = 0;  // one last look
        } else if (!waited.ok()) {
            return waited.error();
        }
    }
}

std::uint32_t EpollFile::poll(vfs::PollWaiter* waiter) {
    if (waiter) waiter->watch(pollers_);
    sched::MutexGuard scan(scan_lock_);
    for (std::uint32_t left = ready_count_.load(std::memory_order_seq_cst); left != 0; left--) {
        Item* item = pop_ready();
        if (!item) break;
        if ((item->file->poll(nullptr) & item->events & ~kPrivateBits) == 0) continue;
        sync::IrqSpinGuard guard(ready_lock_);
        if (!item->ready_node.is_linked()) {
            ready_.push_front(*item);
            ready_count_.fetch_add(1, std::memory_order_seq_cst);
        }
        return vfs::kPollIn | vfs::kPollRdNorm;
    }
    return 0;
}

std::size_t EpollFile::describe(std::span<char> out) const {
    return format_to(out, "anon_inode:[eventpoll]");
}

void init_epoll() { vfs::File::set_watchers_hook(EpollFile::file_ends); }

}  // namespace kiln::posix

KILN_INIT_CALL(epoll, kiln::InitLevel::kService, kiln::posix::init_epoll);
