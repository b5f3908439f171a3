// epoll(7): a set of files that remembers which of them have events.
//
// A file is watched until it is taken out, or its last descriptor goes: an Item holds no reference to it, the file's end
// takes the items along (vfs::File::watchers).
//
// Locks: the links' mutex (which items belong to which file) before an epoll's scan mutex before its ready list's
// spinlock. The spinlock is taken by wake-ups, with the lock of the watched file's wait queue held; nested epolls take
// one such pair inside another, always from the watched to the watching one, and there are no cycles (ELOOP).
#pragma once

#include <cstdint>
#include <span>

#include <kiln/abi/linux/machine.hpp>
#include <kiln/base/avl_tree.hpp>
#include <kiln/base/list.hpp>
#include <kiln/base/result.hpp>
#include <kiln/mem/user_ptr.hpp>
#include <kiln/sched/mutex.hpp>
#include <kiln/sched/wait_queue.hpp>
#include <kiln/vfs/file.hpp>

namespace kiln::posix {

/// struct epoll_event (include/uapi/linux/eventpoll.h); packed on x86-64 only.
struct KILN_EPOLL_PACKED EpollEvent {
    std::uint32_t events;
    std::uint64_t data;
};

// Beside vfs::kPoll…
inline constexpr std::uint32_t kEpollExclusive = 1u << 28;
inline constexpr std::uint32_t kEpollWakeUp = 1u << 29;
inline constexpr std::uint32_t kEpollOneShot = 1u << 30;
inline constexpr std::uint32_t kEpollEdge = 1u << 31;

class EpollFile final : public vfs::File {
public:
    /// ENOMEM.
    static Result<Ref<vfs::File>> create();
    EpollFile();
    ~EpollFile() override;

    // epoll_ctl(2) for descriptor `fd`, which is `file`.
    /// EEXIST, EPERM (can't be polled), EINVAL (itself; a bad EPOLLEXCLUSIVE), ELOOP, ENOMEM.
    Result<void> add(int fd, vfs::File& file, const EpollEvent& event);
    /// ENOENT; EINVAL (EPOLLEXCLUSIVE).
    Result<void> modify(int fd, vfs::File& file, const EpollEvent& event);
    /// ENOENT.
    Result<void> remove(int fd, vfs::File& file);
    /// epoll_wait(2): returns how many events were stored at `out`, 0 when `deadline` passed. EINTR, EFAULT.
    Result<std::uint32_t> wait(mem::UserPtr<EpollEvent> out, std::uint32_t limit,
                               time::Deadline deadline, std::uint64_t slack_ns = 0);

    std::uint32_t poll(vfs::PollWaiter* waiter) override;
    std::size_t describe(std::span<char> out) const override;
    static const char kKind;
    const void* kind() const override { return &kKind; }

private:
    /// One entry in one wait queue of a watched file.
    struct Registration;
    struct Key {
        const vfs::File* file;
        int fd;
        friend auto operator<=>(const Key&, const Key&) = default;
    };
    /// A watched descriptor.
    struct Item {
        Item(EpollFile& owner, vfs::File& watched, int fd, const EpollEvent& event);
        EpollFile* epoll;
        vfs::File* file;
        Key key;
        std::uint64_t data;
        std::uint32_t events;  ///< guarded by ready_lock_
        Registration* registrations = nullptr;
        TreeNode tree_node;
        ListNode ready_node;
        Item* next_of_file = nullptr;  ///< guarded by the links' mutex, from File::watchers on
    };
    struct ItemTraits {
        static const Key& key(const Item& item) { return item.key; }
    };
    class ItemPollWaiter;
    friend void init_epoll();

    static bool source_woke(sched::WaitEntry& entry, std::uint32_t events);
    static void file_ends(vfs::File& file);
    static Item* first_item_of(vfs::File& file) {
        return static_cast<Item*>(file.watchers.load(std::memory_order_relaxed));
    }
    /// Both mutexes held: takes the item out of everything and frees it.
    void destroy(Item& item);
    Item* find(int fd, const vfs::File& file) { return items_.find(Key{&file, fd}); }
    void look_at(Item& item);
    bool mark_ready(Item& item, std::uint32_t events);
    Item* pop_ready();
    Result<std::uint32_t> collect(mem::UserPtr<EpollEvent> out, std::uint32_t limit);
    /// Levels of epolls below this one, kTooDeep if `other` is among them or there are too many.
    int depth_below(const EpollFile& other);
    /// Levels of epolls that watch this one.
    int height_above();

    sched::Mutex scan_lock_{sync::LockRank::kEpollScan};  ///< items_, and reading the ready list
    AvlTree<Item, &Item::tree_node, ItemTraits> items_;
    sync::SpinLock ready_lock_{sync::LockRank::kUnranked};
    List<Item, &Item::ready_node> ready_;
    std::atomic<std::uint32_t> ready_count_{0};
    sched::WaitQueue waiters_{sync::LockRank::kUnranked};  ///< epoll_wait()
    sched::WaitQueue pollers_{sync::LockRank::kUnranked};  ///< poll() of this epoll
};

/// Once, at boot.
void init_epoll();

}  // namespace kiln::posix
