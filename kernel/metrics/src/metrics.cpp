#include <kiln/metrics/metrics.hpp>

KILN_REGISTRY(kiln::metrics::CounterInfo, kiln_counters);

namespace kiln::metrics {

void for_each(bool (*visit)(const CounterInfo& info, void* cookie), void* cookie) {
    for (const CounterInfo& info : KILN_REGISTRY_ELEMENTS(kiln_counters)) {
        if (!visit(info, cookie)) return;
    }
}

const Counter* find(std::string_view name) {
    for (const CounterInfo& info : KILN_REGISTRY_ELEMENTS(kiln_counters)) {
        if (info.name == name) return info.counter;
    }
    return nullptr;
}

}  // namespace kiln::metrics
