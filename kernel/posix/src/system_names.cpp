// uname(2)'s changeable names.
#include <cstring>

#include <kiln/posix/process.hpp>

namespace kiln::posix {
namespace {

constinit sync::SpinLock g_lock{sync::LockRank::kTaskTable};
constinit SystemName g_hostname{"kiln"};
constinit SystemName g_domainname{"(none)"};

void set_name(SystemName& name, std::string_view text) {
    const std::size_t n = text.size() < sizeof(name.text) - 1 ? text.size() : sizeof(name.text) - 1;
    sync::SpinGuard guard(g_lock);
    std::memset(name.text, 0, sizeof(name.text));
    std::memcpy(name.text, text.data(), n);
}

SystemName get_name(const SystemName& name) {
    sync::SpinGuard guard(g_lock);
    return name;
}

}  // namespace

void set_hostname(std::string_view name) { set_name(g_hostname, name); }
void set_domainname(std::string_view name) { set_name(g_domainname, name); }
SystemName hostname() { return get_name(g_hostname); }
SystemName domainname() { return get_name(g_domainname); }

}  // namespace kiln::posix
