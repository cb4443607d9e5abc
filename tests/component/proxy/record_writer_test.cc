#include "proxy/record_writer.h"

#include <fcntl.h>
#include <rapidjson/document.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "net/unique_fd.h"

namespace warder::proxy {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct Pipe {
  net::UniqueFd reader, writer;
};

// One page of room, so that it is full soon.
Pipe small_pipe() {
  std::array<int, 2> fds{};
  REQUIRE(::pipe2(fds.data(), O_CLOEXEC) == 0);
  Pipe pipe{net::UniqueFd(fds[0]), net::UniqueFd(fds[1])};
  REQUIRE(::fcntl(pipe.writer.get(), F_SETPIPE_SZ, 4096) == 4096);
  return pipe;
}

Pipe socket_pair() {
  std::array<int, 2> fds{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0);
  return {net::UniqueFd(fds[0]), net::UniqueFd(fds[1])};
}

std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

struct Seen {
  std::vector<std::uint64_t> seqs;
  std::vector<std::string> events;
  std::uint64_t told_dropped = 0;
  std::uint64_t repeated = 0;
};

Seen parse(const std::string& text) {
  Seen seen;
  std::size_t from = 0;
  while (from < text.size()) {
    const std::size_t end = text.find('\n', from);
    REQUIRE(end != std::string::npos);
    rapidjson::Document json;
    json.Parse(text.data() + from, end - from);
    REQUIRE_FALSE(json.HasParseError());
    seen.seqs.push_back(json["seq"].GetUint64());
    seen.events.emplace_back(json["event"].GetString());
    if (seen.events.back() == "dropped") seen.told_dropped += json["count"].GetUint64();
    if (seen.events.back() == "repeated") seen.repeated += json["count"].GetUint64();
    from = end + 1;
  }
  return seen;
}

std::unique_ptr<RecordWriter> make_writer(RecordWriterOptions options) {
  auto writer = RecordWriter::make(std::move(options));
  REQUIRE(writer);
  return std::move(*writer);
}

Diagnostic note(std::string message = "x") {
  return {LogLevel::info, "note", std::move(message), {}};
}

void check_rising(const Seen& seen) {
  for (std::size_t i = 1; i < seen.seqs.size(); ++i) CHECK(seen.seqs[i - 1] < seen.seqs[i]);
}

}  // namespace

TEST_CASE("records arrive in order and whole") {
  for (const bool socket : {false, true}) {
    Pipe pipe = socket ? socket_pair() : small_pipe();
    std::string text;
    std::thread reader([&] { text = read_all(pipe.reader.get()); });
    auto writer = make_writer({.fd = pipe.writer.get(), .on_drop = {}});
    for (int i = 0; i < 500; ++i) writer->write(note());
    writer->write(
        note(std::string(20'000, 'y')));  // cut, and still longer than a pipe takes at once
    writer->shutdown();
    CHECK(writer->dropped() == 0);
    writer.reset();
    pipe.writer.reset();
    reader.join();
    const Seen seen = parse(text);
    REQUIRE(seen.seqs.size() == 501);
    CHECK(seen.seqs.front() == 1);
    CHECK(seen.seqs.back() == 501);
    check_rising(seen);
  }
}

TEST_CASE("a reader that stalls blocks nobody, and what was lost is told") {
  for (const bool socket : {false, true}) {
    Pipe pipe = socket ? socket_pair() : small_pipe();
    std::atomic<std::uint64_t> dropped{0};
    auto writer = make_writer({.fd = pipe.writer.get(),
                               .queue = 16,
                               .flush_timeout = 10s,
                               .on_drop = [&](std::uint64_t count) { dropped += count; }});
    // More than any buffer on the way holds; would never return if one of them blocked.
    for (int i = 0; i < 5000; ++i) writer->write(note());
    CHECK(dropped > 0);
    std::string text;
    std::thread reader([&] { text = read_all(pipe.reader.get()); });
    writer->shutdown();
    pipe.writer.reset();
    CHECK(dropped == writer->dropped());
    writer.reset();
    reader.join();
    const Seen seen = parse(text);
    std::uint64_t notes = 0;
    for (const std::string& event : seen.events) notes += event == "note" ? 1U : 0U;
    CHECK(notes + dropped == 5000);
    CHECK(seen.told_dropped == dropped);
    check_rising(seen);
  }
}

TEST_CASE("shutdown is bounded when nobody reads") {
  const Pipe pipe = small_pipe();
  auto writer =
      make_writer({.fd = pipe.writer.get(), .queue = 1000, .flush_timeout = 100ms, .on_drop = {}});
  for (int i = 0; i < 500; ++i) writer->write(note());
  const auto before = Clock::now();
  writer->shutdown();
  CHECK(Clock::now() - before < 5s);
  CHECK(writer->dropped() > 0);
  const std::uint64_t lost = writer->dropped();
  writer->write(note());
  CHECK(writer->dropped() == lost + 1);
  writer->shutdown();
}

TEST_CASE("standard output's own flags stay as they are") {
  const Pipe pipe = small_pipe();
  const int before = ::fcntl(pipe.writer.get(), F_GETFL);
  auto writer = make_writer({.fd = pipe.writer.get(), .on_drop = {}});
  writer->write(note());
  writer->shutdown();
  CHECK(::fcntl(pipe.writer.get(), F_GETFL) == before);
}

TEST_CASE("an output nobody reads any more loses records and nothing else") {
  Pipe pipe = small_pipe();
  auto writer = make_writer({.fd = pipe.writer.get(), .on_drop = {}});
  pipe.reader.reset();
  for (int i = 0; i < 10; ++i) writer->write(note());
  writer->shutdown();
  CHECK(writer->dropped() == 10);
}

TEST_CASE("levels below the configured one are not written and leave no gap") {
  // Nobody reads before the end, and a pipe of one page takes one write.
  Pipe pipe = socket_pair();
  auto writer = make_writer({.fd = pipe.writer.get(), .level = LogLevel::warn, .on_drop = {}});
  DecisionRecord denial;
  denial.verdict = Verdict::deny;
  writer->write(note());
  writer->write(denial);
  writer->write(TunnelRecord{});
  writer->write(Diagnostic{LogLevel::error, "bad", "", {}});
  writer->shutdown();
  pipe.writer.reset();
  writer.reset();
  const Seen seen = parse(read_all(pipe.reader.get()));
  CHECK(seen.events == std::vector<std::string>{"decision", "bad"});
  CHECK(seen.seqs == std::vector<std::uint64_t>{1, 2});
}

// What is written of so many refusals alike.
Seen written_of(int count, const std::string& code) {
  Pipe pipe = small_pipe();
  auto writer = make_writer({.fd = pipe.writer.get(), .on_drop = {}});
  DecisionRecord denial;
  denial.verdict = Verdict::deny;
  denial.code = code;
  std::string text;
  std::thread reader([&] { text = read_all(pipe.reader.get()); });
  for (int i = 0; i < count; ++i) writer->write(denial);
  writer->shutdown();
  writer.reset();
  pipe.writer.reset();
  reader.join();
  return parse(text);
}

TEST_CASE("a flood of one refusal becomes a few records and a count") {
  const Seen seen = written_of(1000, "denied");
  std::uint64_t told = 0;
  for (const std::string& event : seen.events) told += event == "decision" ? 1U : 0U;
  CHECK(told + seen.repeated == 1000);
  CHECK(told < 50);
  check_rising(seen);
}

TEST_CASE("each tunnel of many that are revoked at once has its record") {
  CHECK(written_of(200, "revoked").events == std::vector<std::string>(200, "decision"));
}

TEST_CASE("many threads write at once") {
  Pipe pipe = small_pipe();
  auto writer = make_writer({.fd = pipe.writer.get(), .on_drop = {}});
  std::string text;
  std::thread reader([&] { text = read_all(pipe.reader.get()); });
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 200; ++n) writer->write(note());
    });
  }
  for (std::thread& thread : threads) thread.join();
  writer->shutdown();
  writer.reset();
  pipe.writer.reset();
  reader.join();
  const Seen seen = parse(text);
  CHECK(seen.seqs.size() == 800);
  check_rising(seen);
}

}  // namespace warder::proxy
