#include "runtime/Knobs.h"
#include "runtime/Team.h"

#include "TinyExecutable.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <initializer_list>
#include <map>
#include <utility>

using namespace lmc;
using lmc::test::errorOf;
using testing::HasSubstr;

namespace {

/// Sets variables (null: unset) and puts the old values back.
class Environment {
public:
  Environment(std::initializer_list<std::pair<std::string, const char *>> values) {
    for (auto [name, value] : values) {
      const char *old = std::getenv(name.c_str());
      before[name] = old ? std::optional<std::string>(old) : std::nullopt;
      set(name, value);
    }
  }
  ~Environment() {
    for (auto &[name, value] : before)
      set(name, value ? value->c_str() : nullptr);
  }

private:
  static void set(const std::string &name, const char *value) {
    value ? ::setenv(name.c_str(), value, 1) : ::unsetenv(name.c_str());
  }
  std::map<std::string, std::optional<std::string>> before;
};

} // namespace

TEST(Knobs, Threads) {
  {
    Environment set{{"LMC_THREADS", "3"}};
    EXPECT_EQ(knobs::threads(), 3);
    EXPECT_EQ(resolveThreads(0), 3);
    EXPECT_EQ(resolveThreads(2), 2);
  }
  {
    Environment set{{"LMC_THREADS", nullptr}};
    EXPECT_EQ(knobs::threads(), std::nullopt);
    EXPECT_GE(resolveThreads(0), 1);
  }
  for (const char *bad : {"0", "-1", "two", "2x", "1025", "99999999999"}) {
    Environment set{{"LMC_THREADS", bad}};
    EXPECT_THAT(errorOf([] { knobs::threads(); }),
                HasSubstr("LMC_THREADS: '" + std::string(bad) + "' is not a number of threads"));
  }
  EXPECT_THAT(errorOf([] { resolveThreads(2000); }), HasSubstr("too many"));
}

TEST(Knobs, CacheFolder) {
  {
    Environment set{{"LMC_CACHE_DIR", "a"}, {"XDG_CACHE_HOME", "b"}, {"HOME", "c"}};
    EXPECT_EQ(knobs::cacheFolder(), "a");
  }
  {
    Environment set{{"LMC_CACHE_DIR", ""}, {"XDG_CACHE_HOME", "b"}, {"HOME", "c"}};
    EXPECT_EQ(knobs::cacheFolder(), "b/lmc");
  }
  {
    Environment set{{"LMC_CACHE_DIR", nullptr}, {"XDG_CACHE_HOME", nullptr}, {"HOME", "c"}};
    EXPECT_EQ(knobs::cacheFolder(), "c/.cache/lmc");
  }
  Environment set{{"LMC_CACHE_DIR", nullptr}, {"XDG_CACHE_HOME", nullptr}, {"HOME", nullptr}};
  EXPECT_EQ(knobs::cacheFolder(), std::nullopt);
}

TEST(Knobs, LogLevel) {
  {
    Environment set{{"LMC_LOG", nullptr}};
    EXPECT_EQ(knobs::logLevel(), knobs::LogLevel::Info);
  }
  {
    Environment set{{"LMC_LOG", "debug"}};
    EXPECT_EQ(knobs::logLevel(), knobs::LogLevel::Debug);
  }
  Environment set{{"LMC_LOG", "loud"}};
  EXPECT_THAT(errorOf([] { knobs::logLevel(); }), HasSubstr("'loud' is not a level"));
}

TEST(Knobs, CudaSync) {
  for (auto [value, expected] : {std::pair{"1", true}, {"0", false}, {"", false}}) {
    Environment set{{"LMC_CUDA_SYNC", value}};
    EXPECT_EQ(knobs::cudaSync(), expected) << value;
  }
  Environment set{{"LMC_CUDA_SYNC", "yes"}};
  EXPECT_THAT(errorOf([] { knobs::cudaSync(); }),
              HasSubstr("LMC_CUDA_SYNC: 'yes' is neither 0 nor 1"));
}

TEST(Knobs, TableNamesAll) {
  for (const char *name :
       {"LMC_THREADS", "LMC_CACHE_DIR", "LMC_LOG", "LMC_CUDA_SYNC", "LMC_SHARED"})
    EXPECT_THAT(knobs::table(), HasSubstr(name));
}
