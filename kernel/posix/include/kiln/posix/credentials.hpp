// User and group ids and capabilities, as credentials(7) and capabilities(7) describe them.
#pragma once

#include <cstdint>

#include <kiln/base/result.hpp>
#include <kiln/vfs/path.hpp>

namespace kiln::posix {

/// Bit n is capability n (include/uapi/linux/capability.h); 0 … 40 exist in Linux 6.1.
using CapabilitySet = std::uint64_t;
inline constexpr unsigned kLastCapability = 40;
inline constexpr CapabilitySet kAllCapabilities = (CapabilitySet{1} << (kLastCapability + 1)) - 1;

inline constexpr unsigned kCapChown = 0;
inline constexpr unsigned kCapDacOverride = 1;
inline constexpr unsigned kCapKill = 5;
inline constexpr unsigned kCapSetgid = 6;
inline constexpr unsigned kCapSetuid = 7;
inline constexpr unsigned kCapSetpcap = 8;
inline constexpr unsigned kCapSysChroot = 18;
inline constexpr unsigned kCapSysAdmin = 21;
inline constexpr unsigned kCapSysBoot = 22;
inline constexpr unsigned kCapSysNice = 23;
inline constexpr unsigned kCapSysResource = 24;
inline constexpr unsigned kCapSysTime = 25;

struct UserIds {
    std::uint32_t real = 0;
    std::uint32_t effective = 0;
    std::uint32_t saved = 0;
    std::uint32_t file_system = 0;
};

/// A value: copied out of the process under its lock, changed, put back.
struct Credentials {
    static constexpr std::size_t kMaxGroups = 64;  ///< Linux allows 65536; more than this is EINVAL

    UserIds user;
    UserIds group;
    CapabilitySet effective = kAllCapabilities;
    CapabilitySet permitted = kAllCapabilities;
    CapabilitySet inheritable = 0;
    CapabilitySet bounding = kAllCapabilities;
    CapabilitySet ambient = 0;
    std::uint32_t secure_bits = 0;
    std::uint32_t group_count = 0;
    std::uint32_t groups[kMaxGroups] = {};

    /// Root with all capabilities, or an ordinary user with none.
    static Credentials for_user(std::uint32_t uid, std::uint32_t gid);
    bool has(unsigned capability) const { return (effective >> capability & 1) != 0; }
    bool in_group(std::uint32_t gid) const;

    // setuid(2) and its kin; −1 (UINT32_MAX) leaves an id as it is. EPERM.
    Result<void> set_uid(std::uint32_t uid);
    Result<void> set_reuid(std::uint32_t real, std::uint32_t effective);
    Result<void> set_resuid(std::uint32_t real, std::uint32_t effective, std::uint32_t saved);
    Result<void> set_gid(std::uint32_t gid);
    Result<void> set_regid(std::uint32_t real, std::uint32_t effective);
    Result<void> set_resgid(std::uint32_t real, std::uint32_t effective, std::uint32_t saved);
    /// Changes the file system id if allowed; returns the old one.
    std::uint32_t set_fsuid(std::uint32_t uid);
    std::uint32_t set_fsgid(std::uint32_t gid);
    /// capset(2). EPERM.
    Result<void> set_capabilities(CapabilitySet effective, CapabilitySet permitted,
                                  CapabilitySet inheritable);

private:
    void user_changed(const UserIds& before);
};

}  // namespace kiln::posix
