// As Linux's arch/arm64/kernel/cpuinfo.c shows it, as far as it is known here.
#include "../../cpuinfo.hpp"

#include "../../text.hpp"

namespace kiln::fs {

Result<void> format_cpuinfo(vfs::TextSink& out) {
    for (unsigned cpu = 0; cpu < kCpus; cpu++) print(out, "processor\t: {}\n\n", cpu);
    return {};
}

}  // namespace kiln::fs
