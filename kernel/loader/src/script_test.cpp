#include <kiln/loader/script.hpp>

#include <gtest/gtest.h>

#include <string>

namespace kiln::loader {
namespace {

Result<ScriptLine> parse(const std::string& text) {
    return parse_script_line(std::as_bytes(std::span(text)));
}

TEST(Script, InterpreterAndOneArgument) {
    const std::string first = "#!/bin/sh\necho";
    auto plain = parse(first);
    ASSERT_TRUE(plain.ok());
    EXPECT_EQ(plain->interpreter, "/bin/sh");
    EXPECT_EQ(plain->argument, "");
    const std::string second = "#! \t/usr/bin/env  python3 -u \nx";
    auto env = parse(second);
    ASSERT_TRUE(env.ok());
    EXPECT_EQ(env->interpreter, "/usr/bin/env");
    EXPECT_EQ(env->argument, "python3 -u");
    const std::string last_line = "#!/bin/true";
    EXPECT_EQ(parse(last_line)->interpreter, "/bin/true");
}

TEST(Script, RefusesWhatLinuxRefuses) {
    EXPECT_EQ(parse("#!").error(), Errno::kENOEXEC);
    EXPECT_EQ(parse("#!   \n/bin/sh").error(), Errno::kENOEXEC);
    EXPECT_EQ(parse("echo").error(), Errno::kENOEXEC);
    EXPECT_EQ(parse("#!/" + std::string(400, 'a')).error(), Errno::kENOEXEC);
    const std::string long_argument = "#!/bin/sh " + std::string(400, 'a');
    EXPECT_EQ(parse(long_argument)->interpreter, "/bin/sh");
}

}  // namespace
}  // namespace kiln::loader
