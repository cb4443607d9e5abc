#include "identity/hashed_resolver.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <fstream>
#include <mutex>
#include <sstream>

#include "identity/image_file.h"
#include "identity/proc_fs.h"
#include "tests/component/identity/client.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/proc_tree.h"

namespace warder::identity {
namespace {

using std::chrono::milliseconds;

std::string contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

std::string sha256_of(const std::string& bytes) {
  std::array<unsigned char, 32> digest{};
  unsigned size = 0;
  REQUIRE(::EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, ::EVP_sha256(), nullptr) ==
          1);
  std::string text;
  for (const unsigned char byte : digest) {
    static const char* const kDigits = "0123456789abcdef";
    text += {kDigits[byte >> 4U], kDigits[byte & 15U]};
  }
  return text;
}

FileId image_of(const std::string& path) {
  const auto id = file_id(AT_FDCWD, path);
  REQUIRE(id);
  return *id;
}

Process running(const testing::Client& client) {
  Process process;
  process.pid = client.pid();
  process.image = image_of("/proc/" + std::to_string(client.pid()) + "/exe");
  return process;
}

// Answers every lookup with the processes that it was given.
class PresetResolver final : public Resolver {
 public:
  explicit PresetResolver(Identity identity) : identity_(std::move(identity)) {}

  std::unique_ptr<Lookup> start(const Connection&, net::Loop& loop, Callback callback) override {
    class Nothing final : public Lookup {
     public:
      explicit Nothing(std::shared_ptr<bool> alive) : alive_(std::move(alive)) {}
      ~Nothing() override { *alive_ = false; }

     private:
      std::shared_ptr<bool> alive_;
    };
    auto alive = std::make_shared<bool>(true);
    loop.post([alive, identity = identity_, callback = std::move(callback)] {
      if (*alive) callback(identity);
    });
    return std::make_unique<Nothing>(alive);
  }
  std::unique_ptr<Lookup> confirm(const Connection& connection, const Identity&, net::Loop& loop,
                                  ConfirmCallback callback) override {
    return start(connection, loop,
                 [callback = std::move(callback)](const Identity&) { callback(std::nullopt); });
  }

 private:
  Identity identity_;
};

// Waits for one hash.
class HashListener final : public ImageHashes::Waiter {
 public:
  bool wanted() const override { return true; }
  void hashed(const FileId&, const ImageHash& hash) override {
    const std::lock_guard lock(mutex_);
    answer_ = hash;
  }
  std::optional<ImageHash> answer() {
    const std::lock_guard lock(mutex_);
    return answer_;
  }

 private:
  std::mutex mutex_;
  std::optional<ImageHash> answer_;
};

class HashTest : public testing::LoopFixture {
 public:
  ~HashTest() {
    lookups.clear();
    resolver.reset();
  }

  void use(std::vector<Process> processes, HashLimits limits = {},
           const std::string& proc_root = "/proc") {
    Identity identity;
    identity.grade = Grade::exact;
    identity.processes = std::move(processes);
    auto made =
        std::make_unique<ImageHashes>(std::move(*open_directory(AT_FDCWD, proc_root)), limits);
    hashes = made.get();
    resolver = std::make_unique<HashedResolver>(
        std::make_unique<PresetResolver>(std::move(identity)), std::move(made));
  }
  Lookup* start() {
    lookups.push_back(resolver->start(
        {}, loop(), [this](Identity identity) { answers.push_back(std::move(identity)); }));
    return lookups.back().get();
  }
  // The hash of one process's image.
  Process look() {
    const std::size_t before = answers.size();
    (void)start();
    REQUIRE(run_until([&] { return answers.size() > before; }));
    UNSCOPED_INFO(answers.back().processes.at(0).sha256_missing);
    return answers.back().processes.at(0);
  }

  ImageHashes* hashes = nullptr;
  std::unique_ptr<HashedResolver> resolver;
  std::vector<std::unique_ptr<Lookup>> lookups;
  std::vector<Identity> answers;
};

// A program of that many bytes, most of which are not on the disk.
void make_huge(const std::string& path, std::uintmax_t size) {
  std::filesystem::resize_file(path, size);
}

}  // namespace

TEST_CASE_METHOD(HashTest, "the hash of a running image, read once", "[identity]") {
  testing::Client client(testing::kClientProgram);
  use({running(client)});
  const std::string expected = sha256_of(contents(testing::kClientProgram));
  CHECK(look().sha256 == expected);
  CHECK(look().sha256 == expected);
  CHECK(look().sha256_missing.empty());
  CHECK(hashes->read_count() == 1);
  // Another process that runs it.
  testing::Client second(testing::kClientProgram);
  CHECK(hashes->known(second.pid(), image_of(testing::kClientProgram)) == ImageHash{expected, {}});
}

TEST_CASE_METHOD(HashTest, "lookups that want one image wait for one reading", "[identity]") {
  testing::Client client(testing::kClientProgram);
  use({running(client), running(client)});
  for (int i = 0; i < 20; ++i) (void)start();
  REQUIRE(run_until([&] { return answers.size() == 20; }));
  for (const Identity& answer : answers)
    for (const Process& process : answer.processes)
      CHECK(process.sha256 == sha256_of(contents(testing::kClientProgram)));
  CHECK(hashes->read_count() == 1);
}

TEST_CASE_METHOD(HashTest, "what runs is hashed, not what its path leads to", "[identity]") {
  const testing::ProgramCopy program("pro\xffgram (deleted)");
  std::ofstream(program.path(), std::ios::app) << "of its own";
  const std::string expected = sha256_of(contents(program.path()));
  testing::Client client(program.path());
  SECTION("as it is") {}
  SECTION("removed") { std::filesystem::remove(program.path()); }
  SECTION("replaced") {
    std::filesystem::remove(program.path());
    std::ofstream(program.path()) << "another";
  }
  SECTION("moved") { std::filesystem::rename(program.path(), program.path() + "2"); }
  SECTION("its first thread has exited") { REQUIRE(client.tell("leave-first-thread") == "ok"); }
  Process process;
  process.pid = client.pid();
  for (const auto& thread :
       std::filesystem::directory_iterator("/proc/" + std::to_string(client.pid()) + "/task"))
    if (const auto image = file_id(AT_FDCWD, thread.path().string() + "/exe"))
      process.image = *image;
  use({process});
  CHECK(look().sha256 == expected);
}

TEST_CASE_METHOD(HashTest, "a program that is in no file system", "[identity]") {
  const net::UniqueFd memory(::memfd_create("program", MFD_CLOEXEC));
  const std::string program = contents(testing::kClientProgram);
  REQUIRE(::write(memory.get(), program.data(), program.size()) ==
          static_cast<ssize_t>(program.size()));
  testing::Client client("/proc/" + std::to_string(::getpid()) + "/fd/" +
                         std::to_string(memory.get()));
  use({running(client)});
  CHECK(look().sha256 == sha256_of(program));
}

TEST_CASE_METHOD(HashTest, "a file that has just been changed is read each time", "[identity]") {
  const testing::ProgramCopy program("program");
  testing::Client client(program.path());
  use({running(client)});
  const std::string expected = sha256_of(contents(program.path()));
  // Again where this machine was too busy to read it soon enough.
  bool soon = false;
  for (unsigned i = 0; !soon && i < 100; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    REQUIRE(::chmod(program.path().c_str(), 0700 + (i & 1U)) == 0);
    REQUIRE(look().sha256 == expected);
    soon = std::chrono::steady_clock::now() - begin < milliseconds(80);
    if (soon) CHECK_FALSE(hashes->known(client.pid(), image_of(program.path())));
  }
  CHECK(soon);
}

TEST_CASE_METHOD(HashTest, "why there is no hash", "[identity]") {
  testing::Client client(testing::kClientProgram);
  Process process = running(client);
  HashLimits limits;
  std::string why;
  SECTION("another image runs") {
    process.image = image_of("/proc/self/exe");
    why = "the process runs another image now";
  }
  SECTION("the process has ended") {
    client.kill();
    why = "the process has ended";
  }
  SECTION("too large") {
    limits.max_bytes = 10;
    why = "the image is larger than 10 bytes";
  }
  SECTION("a process that was not seen") {
    process.pid = 0;
    why = "the process can't be looked into";
  }
  use({process}, limits);
  const Process seen = look();
  CHECK_FALSE(seen.sha256);
  CHECK(seen.sha256_missing == why);
}

TEST_CASE_METHOD(HashTest, "an identity without processes, and a confirmation, wait for nothing",
                 "[identity]") {
  use({});
  (void)start();
  REQUIRE(run_until([&] { return answers.size() == 1; }));
  testing::Client client(testing::kClientProgram);
  use({running(client)});
  bool confirmed = false;
  const auto lookup = resolver->confirm({}, {}, loop(), [&](std::optional<Change> change) {
    CHECK_FALSE(change);
    confirmed = true;
  });
  REQUIRE(run_until([&] { return confirmed; }));
  CHECK(hashes->read_count() == 0);
}

TEST_CASE_METHOD(HashTest, "a huge image holds up nobody, and nobody has to wait for it",
                 "[identity]") {
  const testing::ProgramCopy huge("huge");
  make_huge(huge.path(), std::uintmax_t{1} << 40);
  testing::Client client(testing::kClientProgram), hog(huge.path());
  HashLimits limits;
  limits.max_bytes = std::size_t{1} << 41;
  limits.slice = std::chrono::minutes(10);
  const std::string expected = sha256_of(contents(testing::kClientProgram));
  SECTION("another lookup has its answer meanwhile") {
    limits.timeout = std::chrono::minutes(10);
    use({running(hog)}, limits);
    (void)start();
    REQUIRE(run_until([&] { return hashes->read_count() == 1; }));
    const auto other = std::make_shared<HashListener>();
    hashes->compute(client.pid(), image_of(testing::kClientProgram), other);
    REQUIRE(run_until([&] { return other->answer().has_value(); }));
    CHECK(other->answer()->sha256 == expected);
    CHECK(answers.empty());
    // Destroyed, it is neither answered nor read on.
    lookups.clear();
    run_for(milliseconds(50));
    CHECK(answers.empty());
  }
  SECTION("after the time that it may take") {
    limits.timeout = milliseconds(100);
    use({running(hog)}, limits);
    const Process seen = look();
    CHECK_FALSE(seen.sha256);
    CHECK(seen.sha256_missing == "not hashed within 100 ms");
  }
}

TEST_CASE_METHOD(HashTest, "lookups are destroyed at any time", "[identity]") {
  testing::Client client(testing::kClientProgram);
  use({running(client)});
  for (int turns = 0; turns < 20; ++turns) {
    (void)start();
    run_turns(turns / 4);
    lookups.clear();
  }
  const std::size_t before = answers.size();
  run_for(milliseconds(50));
  CHECK(answers.size() == before);
  CHECK(look().sha256 == sha256_of(contents(testing::kClientProgram)));
}

TEST_CASE_METHOD(HashTest, "a callback destroys its lookup", "[identity]") {
  testing::Client client(testing::kClientProgram);
  use({running(client)});
  for (int i = 0; i < 2; ++i) {  // read, then known
    bool done = false;
    std::unique_ptr<Lookup> lookup;
    lookup = resolver->start({}, loop(), [&](const Identity&) {
      lookup.reset();
      done = true;
    });
    REQUIRE(run_until([&] { return done; }));
  }
}

// A file system whose owner never answers: neither what is asked of it, nor the first question.
TEST_CASE_METHOD(HashTest, "a file system that does not answer holds up nothing else",
                 "[identity]") {
  if (::getuid() != 0) SKIP("NOT TESTED: mounting needs root");
  const testing::ProcTree tree;
  tree.write("silent", "");
  tree.write("700/exe", "another program");
  tree.link("600/exe", tree.path("silent"));
  net::UniqueFd device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  REQUIRE(device);
  const std::string options =
      "fd=" + std::to_string(device.get()) + ",rootmode=100755,user_id=0,group_id=0";
  REQUIRE(::mount("silent", tree.path("silent").c_str(), "fuse", MS_NOSUID | MS_NODEV,
                  options.c_str()) == 0);
  Process process;
  process.pid = 600;
  process.image = image_of(tree.path("silent"));
  HashLimits limits;
  limits.timeout = std::chrono::minutes(10);
  limits.slice = milliseconds(100);
  use({process}, limits, tree.root());
  SECTION("its kind is told by the mount table") {
    tree.write("600/mountinfo", "36 35 " + std::to_string(major(process.image.device)) + ":" +
                                    std::to_string(minor(process.image.device)) +
                                    " / /x rw shared:1 - fuse.silent silent rw\n");
    CHECK(look().sha256_missing == "the image is on FUSE");
  }
  SECTION("its kind is not known") {
    CHECK(look().sha256_missing == "its file system does not answer");
    // Another thread goes on.
    const auto other = std::make_shared<HashListener>();
    hashes->compute(700, image_of(tree.path("700/exe")), other);
    REQUIRE(run_until([&] { return other->answer().has_value(); }));
    CHECK(other->answer()->sha256 == sha256_of("another program"));
  }
  device.reset();  // what waited for an answer gets an error
  REQUIRE(::umount2(tree.path("silent").c_str(), MNT_DETACH) == 0);
  REQUIRE(run_until([&] { return hashes->stuck() == 0; }));
}

TEST_CASE("an image that changes while it is read has no hash", "[identity]") {
  const testing::ProcTree tree;
  tree.write("500/exe", std::string(std::size_t{3} << 20, 'x'));
  const net::UniqueFd root = std::move(*open_directory(AT_FDCWD, tree.root()));
  const FileId image = image_of(tree.path("500/exe"));
  auto file = ImageFile::open(root.get(), 500, image, std::size_t{1} << 30);
  REQUIRE(file);
  auto slice = file->read_slice();
  REQUIRE(slice);
  CHECK_FALSE(*slice);
  std::fstream changed(tree.path("500/exe"));
  SECTION("it doesn't") {}
  SECTION("a byte") { changed.seekp(5) << 'y' << std::flush; }
  SECTION("longer") { changed.seekp(std::size_t{4} << 20) << 'y' << std::flush; }
  SECTION("shorter") { std::filesystem::resize_file(tree.path("500/exe"), 10); }
  const bool same = std::filesystem::file_size(tree.path("500/exe")) == std::size_t{3} << 20 &&
                    contents(tree.path("500/exe")).find('y') == std::string::npos;
  while (slice && !*slice) slice = file->read_slice();
  CHECK(slice.has_value() == same);
}

}  // namespace warder::identity
