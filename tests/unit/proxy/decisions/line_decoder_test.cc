#include "proxy/decisions/line_decoder.h"

#include <fmt/format.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <string>
#include <vector>

#include "proxy/decisions/line_reader.h"
#include "sample.h"

namespace warder::decisions {
namespace {

using sample::EventLine;
using sample::quoted;

// What a log of these lines gives: the lines that were understood.
struct Decoded {
  std::vector<std::string> texts;
  LineCounts counts;
};

Decoded decode(const std::vector<std::string>& lines, const std::string& rest = "",
               const Filter& filter = {}) {
  Decoded decoded;
  const Prefilter prefilter(filter);
  LineDecoder decoder(prefilter, decoded.counts);
  for (const std::string& line : lines) {
    if (decoder.decode(line) != nullptr) decoded.texts.emplace_back(decoder.text());
  }
  if (decoder.decode_rest(rest) != nullptr) decoded.texts.emplace_back(decoder.text());
  decoder.end();
  return decoded;
}

std::string docker(const std::string& text, const char* stream = "stderr") {
  return fmt::format(R"({{"log":{},"stream":"{}","time":"2026-11-27T06:30:00Z"}})", quoted(text),
                     stream);
}

std::string journal(const std::string& message, const std::string& more = "") {
  return fmt::format(R"({{"__CURSOR":"s=1","MESSAGE":{},"_PID":"1"{}}})", message, more);
}

std::string bytes_of(const std::string& text) {
  std::string list;
  for (const char c : text) {
    list += (list.empty() ? "[" : ",") + std::to_string(static_cast<unsigned char>(c));
  }
  return list + "]";
}

TEST_CASE("decisions: lines in docker's json-file") {
  const std::string line = EventLine().text();
  const Decoded whole = decode({docker(line + "\n"), docker("noise\n")});
  CHECK(whole.texts == std::vector<std::string>{line});
  CHECK(whole.counts.decisions == 1);
  CHECK(whole.counts.foreign == 1);

  // The streams' pieces come in any order among each other.
  const Decoded split =
      decode({docker(line.substr(0, 100)), docker("a", "stdout"), docker(line.substr(100, 200)),
              docker("b\n", "stdout"), docker(line.substr(300) + "\n")});
  CHECK(split.texts == std::vector<std::string>{line});
  CHECK(split.counts.pieces == 3);
  CHECK(split.counts.foreign == 1);
  CHECK(split.counts.lines() == 5);
}

TEST_CASE("decisions: a split line that is not continued is torn") {
  const std::string line = EventLine().text();
  const Decoded decoded = decode({docker(line.substr(0, 100))});
  CHECK(decoded.texts.empty());
  CHECK(decoded.counts.torn == 1);
}

TEST_CASE("decisions: a split line may not grow without end") {
  const std::string piece =
      fmt::format(R"({{"log":"{}","stream":"stderr"}})", std::string(100'000, 'x'));
  std::vector<std::string> lines(LineReader::kLongest / 100'000 + 1, piece);
  lines.push_back(docker(EventLine().text() + "\n"));
  lines.push_back(docker(EventLine().text() + "\n"));
  const Decoded decoded = decode(lines);
  CHECK(decoded.texts.size() == 1);
  CHECK(decoded.counts.overlong == 1);
}

// An event of a question and an answer of 1 MiB each, of which the console escapes every byte.
std::string longest_event() {
  std::string escaped;
  for (int i = 0; i < 1 << 20; ++i) escaped += "\\u003c";
  return EventLine{.host = escaped, .reason = escaped}.text();
}

// Inside a JSON string; what there is of control characters is escaped already.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

TEST_CASE("decisions: the longest decisions are read, however they are kept") {
  const std::string line = longest_event();
  const auto pieces = [&](std::size_t size, const auto& form) {
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < line.size(); at += size) {
      lines.push_back(form(line.substr(at, size), at + size >= line.size()));
    }
    return lines;
  };
  CHECK(decode({line}).counts.decisions == 1);
  const auto by_docker = [](const std::string& text, bool last) {
    return fmt::format(R"({{"log":"{}{}","stream":"stderr"}})", escaped(text), last ? "\\n" : "");
  };
  CHECK((decode(pieces(16 << 10, by_docker)).texts == std::vector<std::string>{line}));
  const auto by_journal = [](const std::string& text, bool last) {
    return journal('"' + escaped(text) + '"', last ? "" : R"(,"_LINE_BREAK":"line-max")");
  };
  CHECK((decode(pieces(48 << 10, by_journal)).texts == std::vector<std::string>{line}));
}

TEST_CASE("decisions: entries of the journal") {
  const std::string line = EventLine().text();
  const Decoded decoded =
      decode({journal(quoted(line)), journal(bytes_of(line)), journal("null"), journal("[1,256]"),
              journal(R"(["a"])"), journal(quoted("noise"))});
  CHECK(decoded.texts == std::vector<std::string>{line, line});
  CHECK(decoded.counts.left_out == 1);
  CHECK(decoded.counts.broken == 1);
  CHECK(decoded.counts.foreign == 2);
}

TEST_CASE("decisions: lines that the journal or docker's driver for it has split") {
  const std::string line = EventLine().text();
  const std::string more = R"(,"_STREAM_ID":"s")";
  const Decoded journald =
      decode({journal(quoted(line.substr(0, 50)), more + R"(,"_LINE_BREAK":"line-max")"),
              journal(quoted(line.substr(50)), more)});
  CHECK(journald.texts == std::vector<std::string>{line});
  const std::string partial = R"(,"CONTAINER_PARTIAL_MESSAGE":"true","CONTAINER_PARTIAL_LAST":)";
  const Decoded driver = decode({journal(quoted(line.substr(0, 50)), partial + "\"false\""),
                                 journal(quoted(line.substr(50)), partial + "\"true\"")});
  CHECK(driver.texts == std::vector<std::string>{line});
}

// An entry of docker's driver: the last piece of a split line has no CONTAINER_PARTIAL_MESSAGE, and
// before 20.10 pieces had no id.
std::string driver(const std::string& text, const std::string& container,
                   const std::string& partial_id, bool last) {
  std::string more = R"(,"CONTAINER_ID_FULL":")" + container + '"';
  if (!last) more += R"(,"CONTAINER_PARTIAL_MESSAGE":"true")";
  if (!partial_id.empty()) {
    more += R"(,"CONTAINER_PARTIAL_ID":")" + partial_id + R"(","CONTAINER_PARTIAL_LAST":)" +
            (last ? R"("true")" : R"("false")");
  }
  return journal(quoted(text), more);
}

TEST_CASE("decisions: pieces of two containers in the journal are not joined") {
  const std::string one = EventLine().text();
  const std::string two = EventLine{.host = "b.example.com"}.text();
  const bool with_ids = GENERATE(true, false);
  const std::string id1 = with_ids ? "p1" : "";
  const std::string id2 = with_ids ? "p2" : "";
  const Decoded decoded = decode(
      {driver(one.substr(0, 100), "c1", id1, false), driver(two.substr(0, 50), "c2", id2, false),
       driver("noise", "c3", "", true), driver(one.substr(100, 100), "c1", id1, false),
       driver(two.substr(50), "c2", id2, true), driver(one.substr(200), "c1", id1, true)});
  CHECK(decoded.texts == std::vector<std::string>{two, one});
  CHECK(decoded.counts.lines() == 6);
  CHECK(decoded.counts.torn == 0);
}

TEST_CASE("decisions: both streams of one container in the journal") {
  const std::string line = EventLine().text();
  const Decoded decoded =
      decode({driver(line.substr(0, 100), "c1", "p1", false), driver("noise", "c1", "", true),
              driver("other", "c1", "p2", false), driver("noise", "c1", "p2", true),
              driver(line.substr(100), "c1", "p1", true)});
  CHECK(decoded.texts == std::vector<std::string>{line});
}

TEST_CASE("decisions: of too many lines begun the oldest is torn") {
  const std::string line = EventLine().text();
  std::vector<std::string> lines;
  for (int i = 0; i < 15; ++i) lines.push_back(driver("x", "c1", "p" + std::to_string(i), false));
  lines.push_back(driver(line.substr(0, 100), "c1", "a", false));
  lines.push_back(driver("x", "c1", "q", false));
  lines.push_back(driver(line.substr(100), "c1", "a", true));
  const Decoded decoded = decode(lines);
  CHECK(decoded.texts == std::vector<std::string>{line});
  CHECK(decoded.counts.torn == 16);
}

TEST_CASE("decisions: the last line without a line feed") {
  const std::string line = EventLine().text();
  CHECK(decode({}, line).texts == std::vector<std::string>{line});
  const Decoded torn = decode({line}, line.substr(0, 200));
  CHECK(torn.texts.size() == 1);
  CHECK(torn.counts.torn == 1);
  CHECK(torn.counts.broken == 0);
  CHECK(decode({line.substr(0, 200)}).counts.broken == 1);
}

TEST_CASE("decisions: a line within a line within a line is nobody's") {
  const Decoded decoded = decode({docker(docker(EventLine().text() + "\n") + "\n")});
  CHECK(decoded.texts.empty());
  CHECK(decoded.counts.foreign == 1);
}

TEST_CASE("decisions: a prefilter loses no line, however it is written") {
  const EventLine wanted;
  const EventLine other{.decision_id = "00000000-0000-4000-8000-000000000000",
                        .request_id = "ffffffffffffffffffffffffffffffff"};
  Filter filter;
  filter.ids = {wanted.request_id};
  std::string escaped = wanted.text();
  escaped.replace(escaped.find("0123456789abcdef"), 1, "\\u0030");
  const std::string text = wanted.text();
  const std::size_t middle = text.find(wanted.request_id) + 5;
  const std::vector<std::string> lines{
      wanted.text(),
      other.text(),
      escaped,
      docker(wanted.text() + "\n"),
      docker(text.substr(0, middle)),
      // Nothing in this piece needs an escape.
      fmt::format(R"({{"log":"{}","stream":"stderr"}})", text.substr(middle, 10)),
      docker(text.substr(middle + 10) + "\n"),
      journal(bytes_of(text)),
  };
  const Decoded decoded = decode(lines, "", filter);
  CHECK(decoded.texts.size() == 5);
  CHECK(decoded.counts.unread == 1);
}

}  // namespace
}  // namespace warder::decisions
