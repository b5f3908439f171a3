// User and group ids, capabilities.
#include "support.hpp"

namespace kiln::syscalls {
namespace {

using posix::Credentials;

/// Reads, changes and puts back the credentials of the process.
template <typename Change>
Status change(Change apply) {
    Credentials c = this_process().credentials();
    TRY(apply(c));
    this_process().set_credentials(c);
    return 0;
}

Status write_ids(const posix::UserIds& ids, UserPtr<u32> real, UserPtr<u32> effective,
                 UserPtr<u32> saved) {
    TRY(real.write(ids.real));
    TRY(effective.write(ids.effective));
    TRY(saved.write(ids.saved));
    return 0;
}

/// Words of 32 capabilities that a version of the interface has. A wrong version is answered with ours.
Result<std::size_t> capability_words(UserPtr<abi::CapUserHeader> header, abi::CapUserHeader* out) {
    *out = TRY(header.read());
    switch (out->version) {
        case abi::kLINUX_CAPABILITY_VERSION_1: return std::size_t{1};
        case abi::kLINUX_CAPABILITY_VERSION_2:
        case abi::kLINUX_CAPABILITY_VERSION_3: return std::size_t{2};
        default: break;
    }
    abi::CapUserHeader ours = *out;
    ours.version = abi::kLINUX_CAPABILITY_VERSION_3;
    TRY(header.write(ours));
    return Errno::kEINVAL;
}

}  // namespace

Status sys_getuid() { return this_process().credentials().user.real; }
Status sys_geteuid() { return this_process().credentials().user.effective; }
Status sys_getgid() { return this_process().credentials().group.real; }
Status sys_getegid() { return this_process().credentials().group.effective; }

Status sys_getresuid(UserPtr<u32> real, UserPtr<u32> effective, UserPtr<u32> saved) {
    return write_ids(this_process().credentials().user, real, effective, saved);
}
Status sys_getresgid(UserPtr<u32> real, UserPtr<u32> effective, UserPtr<u32> saved) {
    return write_ids(this_process().credentials().group, real, effective, saved);
}

Status sys_setuid(u32 id) {
    return change([=](Credentials& c) { return c.set_uid(id); });
}
Status sys_setgid(u32 id) {
    return change([=](Credentials& c) { return c.set_gid(id); });
}
Status sys_setreuid(u32 real, u32 effective) {
    return change([=](Credentials& c) { return c.set_reuid(real, effective); });
}
Status sys_setregid(u32 real, u32 effective) {
    return change([=](Credentials& c) { return c.set_regid(real, effective); });
}
Status sys_setresuid(u32 real, u32 effective, u32 saved) {
    return change([=](Credentials& c) { return c.set_resuid(real, effective, saved); });
}
Status sys_setresgid(u32 real, u32 effective, u32 saved) {
    return change([=](Credentials& c) { return c.set_resgid(real, effective, saved); });
}
Status sys_setfsuid(u32 id) {
    Credentials c = this_process().credentials();
    const u32 old = c.set_fsuid(id);
    this_process().set_credentials(c);
    return old;
}
Status sys_setfsgid(u32 id) {
    Credentials c = this_process().credentials();
    const u32 old = c.set_fsgid(id);
    this_process().set_credentials(c);
    return old;
}

Status sys_getgroups(int size, UserPtr<u32> list) {
    const Credentials c = this_process().credentials();
    if (size < 0) return Errno::kEINVAL;
    if (size == 0) return c.group_count;
    if (c.group_count > static_cast<u32>(size)) return Errno::kEINVAL;
    TRY(list.write_array({c.groups, c.group_count}));
    return c.group_count;
}

Status sys_setgroups(int size, UserPtr<const u32> list) {
    Credentials c = this_process().credentials();
    if (!c.has(posix::kCapSetgid)) return Errno::kEPERM;
    constexpr int kNgroupsMax = 65536;
    if (size < 0 || size > kNgroupsMax) return Errno::kEINVAL;
    if (static_cast<std::size_t>(size) > Credentials::kMaxGroups) {
        posix::report_unsupported("setgroups with more groups than there is room for",
                                  static_cast<u64>(size));
        return Errno::kEINVAL;
    }
    TRY(list.read_array({c.groups, static_cast<std::size_t>(size)}));
    c.group_count = static_cast<u32>(size);
    this_process().set_credentials(c);
    return 0;
}

Status sys_capget(UserPtr<abi::CapUserHeader> header, UserPtr<abi::CapUserData> data) {
    abi::CapUserHeader h;
    const auto words = capability_words(header, &h);
    if (!words.ok()) {
        // capget(2): a null data pointer asks for the version only.
        if (words.error() == Errno::kEINVAL && !data) return 0;
        return words.error();
    }
    if (h.pid < 0) return Errno::kEINVAL;
    if (h.pid != 0 && !posix::find_task(h.pid)) return Errno::kESRCH;
    if (!data) return 0;
    const Credentials c = this_process().credentials();
    for (std::size_t i = 0; i < words.value(); i++) {
        const unsigned shift = static_cast<unsigned>(i) * 32;
        TRY((data + i).write({static_cast<u32>(c.effective >> shift),
                              static_cast<u32>(c.permitted >> shift),
                              static_cast<u32>(c.inheritable >> shift)}));
    }
    return 0;
}

Status sys_capset(UserPtr<abi::CapUserHeader> header, UserPtr<const abi::CapUserData> data) {
    abi::CapUserHeader h;
    const std::size_t words = TRY(capability_words(header, &h));
    // capset(2): of the caller only.
    if (h.pid != 0 && h.pid != this_task().tid()) return Errno::kEPERM;
    posix::CapabilitySet effective = 0, permitted = 0, inheritable = 0;
    for (std::size_t i = 0; i < words; i++) {
        const abi::CapUserData word = TRY((data + i).read());
        const unsigned shift = static_cast<unsigned>(i) * 32;
        effective |= u64{word.effective} << shift;
        permitted |= u64{word.permitted} << shift;
        inheritable |= u64{word.inheritable} << shift;
    }
    // Bits that no capability has are dropped, as Linux does.
    return change([=](Credentials& c) {
        return c.set_capabilities(effective & posix::kAllCapabilities,
                                  permitted & posix::kAllCapabilities,
                                  inheritable & posix::kAllCapabilities);
    });
}

}  // namespace kiln::syscalls
