// AddressSpace: an application's mappings (VMAs) and page tables; demand paging, copy-on-write.
#pragma once

#include <atomic>
#include <cstdint>

#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>
#include <kiln/base/types.hpp>
#include <kiln/hal/paging.hpp>
#include <kiln/hal/trap.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/sched/mutex.hpp>
#include <kiln/sched/thread.hpp>
#include <kiln/vm/memory_object.hpp>
#include <kiln/vm/vma.hpp>

namespace kiln::vm {

/// Linux's PROT_ bits.
enum Prot : std::uint32_t {
    kProtNone = 0,
    kProtRead = 1,
    kProtWrite = 2,
    kProtExec = 4,
    kProtGrowsDown = 0x01000000,  ///< protect(): down to the begin of the stack mapping
    kProtGrowsUp = 0x02000000,
};

/// What to do about mappings that are in the way of a fixed address.
enum class Placement : std::uint8_t { kHint, kFixedReplace, kFixedNoReplace };

struct MapRequest {
    VirtAddr address;      ///< hint or fixed
    std::uint64_t length;  ///< bytes, rounded up to pages
    std::uint32_t prot = kProtNone;
    std::uint32_t max_prot =
        kProtRead | kProtWrite | kProtExec;  ///< mprotect may go so far (EACCES)
    Sharing sharing = Sharing::kPrivate;
    Placement placement = Placement::kHint;
    Ref<MemoryObject> object;  ///< null: anonymous private memory
    std::uint64_t offset = 0;  ///< into the object, page-aligned
    bool populate = false;     ///< fault all pages in now (MAP_POPULATE, MAP_LOCKED)
    bool stack = false;  ///< grows down on faults below it, down to the stack limit (MAP_GROWSDOWN)
    const char* label = nullptr;  ///< static text for /proc/PID/maps, as "[stack]"
};

/// A view of one VMA, for /proc/PID/maps, mincore, msync.
struct MappingInfo {
    VirtAddr begin;
    VirtAddr end;
    std::uint32_t prot;
    Sharing sharing;
    MemoryObject* object;  ///< null: anonymous
    std::uint64_t offset;
    const char* label;
};

/// What a fault that can't be served means to the program.
struct FaultFailure {
    std::uint8_t signal;   ///< SIGSEGV, SIGBUS; SIGKILL: out of memory
    std::int32_t si_code;  ///< SEGV_MAPERR, SEGV_ACCERR, BUS_ADRERR
};

class AddressSpace : public RefCounted<AddressSpace> {
public:
    /// ENOMEM.
    static Result<Ref<AddressSpace>> create();
    ~AddressSpace();

    PhysAddr page_table_root() const { return root_; }

    // Errors are those of mmap(2), munmap(2), mprotect(2), mremap(2), madvise(2).
    Result<VirtAddr> map(const MapRequest& request);
    Result<void> unmap(VirtAddr address, std::uint64_t length);
    Result<void> protect(VirtAddr address, std::uint64_t length, std::uint32_t prot);
    /// `flags`: MREMAP_MAYMOVE 1, MREMAP_FIXED 2, MREMAP_DONTUNMAP 4.
    Result<VirtAddr> remap(VirtAddr old_address, std::uint64_t old_length, std::uint64_t new_length,
                           std::uint32_t flags, VirtAddr new_address);
    /// `advice`: Linux's MADV_ numbers.
    Result<void> advise(VirtAddr address, std::uint64_t length, int advice);
    /// One byte per page into `vec` (mincore).
    Result<void> resident(VirtAddr address, std::uint64_t length, std::uint8_t* vec);
    Result<void> sync(VirtAddr address, std::uint64_t length, int flags);
    /// brk(2): moves the end of the heap if possible, returns the current end.
    VirtAddr set_break(VirtAddr end);
    /// Where the heap begins (loader: after the program's bss, randomised).
    void init_break(VirtAddr begin);

    /// Serves a fault: true = retry. False: `*failure` says what signal.
    bool handle_fault(VirtAddr address, hal::Access access, FaultFailure* failure) {
        return resolve(address, access, Mapped::kUnknown, failure);
    }
    /// The same for a fault that the hardware reported: it knows whether a page was there.
    bool handle_fault(const hal::Fault& fault, FaultFailure* failure) {
        return resolve({fault.address}, fault.access,
                       fault.present ? Mapped::kUnknown : Mapped::kNo, failure);
    }

    /// Calls `visit` in address order with the lock held shared (must not fault); stops on false.
    void for_each_mapping(bool (*visit)(const MappingInfo&, void*), void* cookie);
    /// The mapping that holds `address`; false if none. `*out`'s object carries no reference.
    bool find_mapping(VirtAddr address, MappingInfo* out);

    struct Stats {
        std::uint64_t mapped_bytes;
        std::uint64_t resident_pages;
        std::uint64_t peak_resident_pages;
        std::uint64_t minor_faults;
    };
    Stats stats() const;

    /// RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK as the process has them.
    struct Limits {
        std::uint64_t address_space = UINT64_MAX;
        std::uint64_t data = UINT64_MAX;
        std::uint64_t stack = 8ull << 20;
    };
    void set_limits(const Limits& limits);

    /// Picks where mmap without a hint starts looking (top-down); randomised by the loader.
    void set_mmap_base(VirtAddr base);

private:
    friend class MemoryObject;
    template <typename T, typename... Args>
    friend Result<Ref<T>> mem::make_ref(Args&&...);

    enum class Outcome : std::uint8_t { kDone, kRetry, kAccessDenied, kBusError, kNoMemory };

    /// What a fault knows about the page's entry beforehand; another thread may change it at any time.
    enum class Mapped : std::uint8_t { kNo, kUnknown };

    explicit AddressSpace(PhysAddr root) : root_(root) {}

    // Faults; lock_ held, shared at least. (fault.cpp)
    bool resolve(VirtAddr address, hal::Access access, Mapped mapped, FaultFailure* failure);
    Outcome fault_in(Vma& vma, std::uintptr_t page, hal::Access access, Mapped mapped);
    Outcome fault_anonymous(Vma& vma, std::uintptr_t page, hal::Access access);
    Outcome fault_contiguous(Vma& vma, std::uintptr_t page, hal::Access access);
    Outcome fault_object(Vma& vma, std::uintptr_t page, hal::Access access);
    Outcome write_to_private(Vma& vma, std::uintptr_t page);
    Outcome install(std::uintptr_t page, PhysAddr fresh, std::uint32_t rights);
    bool grow_stack(std::uintptr_t address);

    // lock_ held exclusively.
    Result<void> unmap_locked(std::uintptr_t begin, std::uintptr_t end, RemovedVmas& removed);
    Result<void> protect_vma(Vma& vma, std::uintptr_t begin, std::uintptr_t end, std::uint32_t prot,
                             RemovedVmas& removed);
    Result<Vma*> isolate(Vma& vma, std::uintptr_t begin, std::uintptr_t end);
    void remove_vma(Vma& vma, RemovedVmas& removed);
    Result<std::uintptr_t> place(const MapRequest& request, std::uint64_t length);
    Result<void> check_limits(std::uint64_t new_bytes, bool is_data) const;
    Result<VirtAddr> move_mapping(Vma& vma, std::uintptr_t from, std::uint64_t old_length,
                                  std::uint64_t new_length, std::uintptr_t to, bool keep_old,
                                  RemovedVmas& removed);
    Result<void> move_pages(Vma& vma, std::uintptr_t from, std::uintptr_t to, std::uint64_t length);
    Result<void> advise_vma(Vma& vma, std::uintptr_t begin, std::uintptr_t end, int advice,
                            RemovedVmas& removed);
    std::uint64_t data_bytes() const;

    // Page tables.
    void zap(const Vma& vma, std::uintptr_t begin, std::uintptr_t end,
             PrivateCopies copies = PrivateCopies::kDrop);
    void flush(std::uintptr_t begin, std::uint64_t length);
    void count_resident(std::int64_t pages);
    Result<void> populate(std::uintptr_t begin, std::uintptr_t end, hal::Access access);

    const PhysAddr root_;
    mutable sched::RwLock lock_{sync::LockRank::kAddressSpace};
    VmaSet vmas_;                      ///< under lock_
    std::atomic<Vma*> hint_{nullptr};  ///< last faulted in; reset with each change
    Limits limits_;
    std::uintptr_t mmap_base_ = hal::kUserEnd - (std::uintptr_t{256} << 20);
    std::uintptr_t break_begin_ = 0;
    std::uintptr_t break_end_ = 0;
    /// Guards the page tables of root_ and the two counts. Nests inside lock_ and inside an object's list lock.
    mutable sync::SpinLock page_table_lock_{sync::LockRank::kPageTable};
    std::uint64_t resident_pages_ = 0;
    std::uint64_t peak_resident_pages_ = 0;
    std::atomic<std::uint64_t> minor_faults_{0};
    std::atomic<bool> is_out_of_memory_reported_{false};
};

/// Makes `thread` run in `space` (null: none, a kernel thread); loads it at once if the thread is
/// running. The caller keeps `space` alive while it is attached.
void attach_address_space(sched::Thread& thread, AddressSpace* space);
/// The address space of the running thread, or null in a kernel thread.
AddressSpace* current_address_space();

/// Makes the running thread use `space` during a scope: how a loader fills a space that is not its own.
class [[nodiscard]] ScopedAddressSpace {
public:
    explicit ScopedAddressSpace(AddressSpace& space) : previous_(current_address_space()) {
        attach_address_space(sched::Thread::current(), &space);
    }
    ~ScopedAddressSpace() { attach_address_space(sched::Thread::current(), previous_); }
    KILN_NON_COPYABLE(ScopedAddressSpace);

private:
    AddressSpace* previous_;
};

/// Registers the page fault handler.
void init();

}  // namespace kiln::vm
