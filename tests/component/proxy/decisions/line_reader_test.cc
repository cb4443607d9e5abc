#include "proxy/decisions/line_reader.h"

#include <zlib.h>

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "scratch_file.h"

namespace warder::decisions {
namespace {

struct Lines {
  std::vector<std::string> lines;
  std::string rest;
  std::uint64_t overlong = 0;
  bool damaged = false;
};

Lines read_all(const ScratchFile& file) {
  auto fd = open_source(file.path());
  REQUIRE(fd);
  LineReader reader(std::move(*fd));
  Lines all;
  while (true) {
    const auto line = reader.next();
    REQUIRE(line);
    if (!*line) break;
    all.lines.emplace_back(**line);
  }
  all.rest = reader.rest();
  all.overlong = reader.overlong();
  all.damaged = reader.source().damaged();
  return all;
}

std::string gzip(const std::string& text) {
  z_stream stream{};
  REQUIRE(::deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(::deflateBound(&stream, text.size()), '\0');
  std::string in = text;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(::deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

// Lines of all lengths, more than one block of them.
std::vector<std::string> many_lines() {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < 3000; ++i)
    lines.emplace_back(i % 700, static_cast<char>('a' + i % 26));
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + '\n';
  return text;
}

TEST_CASE("decisions: lines are cut at line feeds") {
  const ScratchFile file;
  file.write("a\n\nb\r\nc\rd\ntorn");
  const Lines read = read_all(file);
  CHECK(read.lines == std::vector<std::string>{"a", "", "b", "c\rd"});
  CHECK(read.rest == "torn");
  file.write(joined(many_lines()));
  CHECK(read_all(file).lines == many_lines());
  CHECK(read_all(file).rest.empty());
  file.write("");
  CHECK(read_all(file).lines.empty());
}

TEST_CASE("decisions: a line that is too long is passed over, and the next one isn't") {
  const ScratchFile file;
  for (const std::size_t more : {0U, 1U, 1000U, 300'000U, 5'000'000U}) {
    CAPTURE(more);
    file.write("before\n" + std::string(LineReader::kLongest + more, 'x') + "\nafter\n");
    const Lines read = read_all(file);
    CHECK(read.lines.size() == (more == 0 ? 3 : 2));
    CHECK(read.lines.front() == "before");
    CHECK(read.lines.back() == "after");
    CHECK(read.overlong == (more == 0 ? 0 : 1));
    file.write(std::string(LineReader::kLongest + more, 'x'));
    CHECK(read_all(file).rest.size() == (more == 0 ? LineReader::kLongest : 0));
    CHECK(read_all(file).overlong == (more == 0 ? 0 : 1));
  }
}

TEST_CASE("decisions: gzip is unpacked") {
  const ScratchFile file;
  const std::string text = joined(many_lines());
  file.write(gzip(text));
  CHECK(read_all(file).lines == many_lines());
  file.write(gzip("a\nb") + gzip("c\n"));
  CHECK(read_all(file).lines == std::vector<std::string>{"a", "bc"});
  CHECK_FALSE(read_all(file).damaged);
}

TEST_CASE("decisions: of broken gzip everything before is read") {
  const ScratchFile file;
  const std::string packed = gzip(joined(many_lines()));
  file.write(std::string_view(packed).substr(0, packed.size() / 2));
  const Lines cut = read_all(file);
  CHECK(cut.damaged);
  CHECK(!cut.lines.empty());
  CHECK(cut.lines.size() < many_lines().size());
  file.write(packed + "trailing bytes");
  const Lines trailed = read_all(file);
  CHECK(trailed.damaged);
  CHECK(trailed.lines == many_lines());
}

TEST_CASE("decisions: a file that is not there, and one that can't be read") {
  const auto missing = open_source("/nonexistent/log");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == Errc::not_found);
  auto folder = open_source("/");
  REQUIRE(folder);
  LineReader reader(std::move(*folder));
  CHECK_FALSE(reader.next());
}

}  // namespace
}  // namespace warder::decisions
