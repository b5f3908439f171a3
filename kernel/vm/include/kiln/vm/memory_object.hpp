// MemoryObject: what can be mapped: anonymous memory, a file's pages.
#pragma once

#include <cstdint>

#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>
#include <kiln/base/types.hpp>
#include <kiln/hal/trap.hpp>

namespace kiln::vm {

/// A page of an object, with a reference held for the caller (mem::unref_page gives it back;
/// pages of the boot image are pinned and not counted).
struct ObjectPage {
    PhysAddr page;
    /// A shared mapping may write to it. A private mapping always copies first.
    bool writable;
};

class MemoryObject : public RefCounted<MemoryObject> {
public:
    virtual ~MemoryObject() = default;

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
    /// A shared writable mapping of it came to be / went away.
    virtual void writable_mapping_added() {}
    virtual void writable_mapping_removed() {}
    /// Names the mapping in /proc/PID/maps; null: anonymous.
    virtual const class MappingName* name() const { return nullptr; }
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

/// Anonymous memory shared by several mappings (MAP_SHARED|MAP_ANONYMOUS, memfd, ramfs contents).
/// Sparse: pages appear when first written.
class AnonymousObject;

}  // namespace kiln::vm
