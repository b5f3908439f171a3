// MemoryObject: what can be mapped: anonymous memory, a file's pages.
#pragma once

#include <atomic>
#include <cstdint>

#include <kiln/base/list.hpp>
#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>
#include <kiln/base/types.hpp>
#include <kiln/hal/trap.hpp>
#include <kiln/sync/spinlock.hpp>

namespace kiln::vm {

/// A page of an object, with a reference held for the caller (mem::unref_page gives it back;
/// pages of the boot image are pinned and not counted).
struct ObjectPage {
    PhysAddr page;
    /// A shared mapping may write to it. A private mapping always copies first.
    bool writable;
};

/// A mapping's place in the list of its object: the base of vm's own record of a mapping.
struct MappingLink {
    ListNode node;
};

/// Which pages MemoryObject::unmap_range() takes away from private mappings.
enum class PrivateCopies : std::uint8_t {
    kKeep,  ///< a hole was punched: copies that private mappings made stay
    kDrop,  ///< the object was cut short: they go, too
};

/// How a mapped file shows in /proc/PID/maps; implemented by vfs.
class MappingName {
public:
    virtual ~MappingName() = default;
    /// Writes the path (or "[heap]"-like text), returns its length.
    virtual std::size_t format(char* out, std::size_t size) const = 0;
    virtual std::uint64_t inode_number() const = 0;
    virtual std::uint64_t device_number() const = 0;
};

class MemoryObject : public RefCounted<MemoryObject> {
public:
    virtual ~MemoryObject() { delete name_.load(std::memory_order_relaxed); }

    /// The page at byte offset index * 4096. For kWrite it is made (allocated, marked dirty); for
    /// kRead an object may answer with a shared zero page. May sleep. EFAULT-like failures: ENOMEM;
    /// EIO; ENXIO beyond the end (SIGBUS).
    virtual Result<ObjectPage> get_page(std::uint64_t index, hal::Access access) = 0;

    /// Bytes; pages wholly beyond fault with SIGBUS.
    virtual std::uint64_t size() const = 0;

    /// If the object is one contiguous run of physical memory (root image): its first byte's
    /// address, so that fault-around and large mappings need no further calls.
    virtual bool contiguous(PhysAddr* base) const {
        (void)base;
        return false;
    }
    /// msync(MS_SYNC): writes the range back to where it is stored. EIO.
    virtual Result<void> sync(std::uint64_t offset, std::uint64_t length) {
        (void)offset;
        (void)length;
        return {};
    }
    /// madvise(MADV_REMOVE): makes the range a hole. EOPNOTSUPP when the object can't have holes.
    virtual Result<void> remove_range(std::uint64_t offset, std::uint64_t length) {
        (void)offset;
        (void)length;
        return Errno::kEOPNOTSUPP;
    }
    /// A shared writable mapping of it came to be / went away.
    virtual void writable_mapping_added() {}
    virtual void writable_mapping_removed() {}
    /// Names its mappings in /proc/PID/maps; null: anonymous.
    const MappingName* name() const { return name_.load(std::memory_order_acquire); }
    /// Gives it a name for its whole life, if it has none yet: takes `name` over in any case.
    void adopt_name(MappingName* name);

    /// Takes the pages of [offset, offset+length) (multiples of 4 KiB; length may reach beyond the end) out of all
    /// mappings, so that the next access asks get_page() again. To be called by the object when it drops pages
    /// (truncation, holes), *after* get_page() stopped giving them out, and without locks that get_page() takes.
    void unmap_range(std::uint64_t offset, std::uint64_t length, PrivateCopies copies);

private:
    friend class AddressSpace;
    friend class VmaSet;
    // Guards the list, and the bounds of the mappings in it.
    mutable sync::SpinLock mappings_lock_{sync::LockRank::kObjectMappings};
    List<MappingLink, &MappingLink::node> mappings_;
    std::atomic<MappingName*> name_{nullptr};  // owned
    // Counts unmap_range(): a fault that got its page before must not map it after.
    std::atomic<std::uint32_t> unmap_count_{0};
};

inline void MemoryObject::adopt_name(MappingName* name) {
    MappingName* none = nullptr;
    if (!name_.compare_exchange_strong(none, name, std::memory_order_acq_rel)) delete name;
}

}  // namespace kiln::vm
