#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {
thread_local int mine = 5;

struct Guard {
    explicit Guard(std::string& log) : log_(log) { log_ += "("; }
    ~Guard() { log_ += ")"; }
    std::string& log_;
};

struct Base {
    virtual ~Base() = default;
    virtual int value() const { return 1; }
};
struct Derived : Base {
    int value() const override { return 2; }
};

int deep(int level, std::string& log) {
    Guard guard(log);
    if (level == 0) throw std::out_of_range("the bottom");
    return deep(level - 1, log);
}
}  // namespace

int main() {
    std::string log;
    try {
        deep(5, log);
    } catch (const std::exception& error) {
        std::cout << "caught " << error.what() << " " << log << std::endl;
    }
    std::vector<std::thread> threads;
    std::mutex mutex;
    std::map<int, int> seen;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&, i] {
            mine += i;
            try {
                if (i % 2) throw i;
            } catch (int thrown) {
                mine += 100 * thrown;
            }
            std::lock_guard lock(mutex);
            seen[i] = mine;
        });
    }
    for (auto& thread : threads) thread.join();
    for (const auto& [key, value] : seen) std::cout << key << "=" << value << " ";
    std::cout << "main=" << mine << std::endl;
    std::unique_ptr<Base> base = std::make_unique<Derived>();
    std::ostringstream text;
    text << std::hex << 255 << " " << std::fixed << 1.5 << " "
         << (dynamic_cast<Derived*>(base.get()) != nullptr) << " " << base->value();
    std::cout << text.str() << "\n";
    try {
        (void)std::vector<int>(3).at(7);
    } catch (const std::out_of_range&) {
        std::cout << "hello from C++" << std::endl;
    }
    return 0;
}
