#include "proxy/policy_check.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "identity/proc_fs.h"
#include "proxy/policy_lines.h"
#include "proxy/text_escape.h"

namespace warder::proxy {
namespace {

constexpr std::size_t kMaxReportText = 65536;

std::string_view name(PolicyProblem::Severity severity) {
  return severity == PolicyProblem::Severity::error ? "error" : "warning";
}

std::string place_of(const PolicyProblem& problem) {
  if (problem.file.empty()) return {};
  return problem.line == 0 ? visible(problem.file) + ": "
                           : fmt::format("{}:{}: ", visible(problem.file), problem.line);
}

std::string line_of(const PolicyProblem& problem) {
  const std::string path = problem.path.empty() ? "" : visible(problem.path) + ": ";
  return fmt::format("{}{}: {}{}\n", place_of(problem), name(problem.severity), path,
                     visible(problem.problem));
}

std::size_t errors_in(const PolicyReport& report) {
  return static_cast<std::size_t>(std::count_if(
      report.problems.begin(), report.problems.end(), [](const PolicyProblem& problem) {
        return problem.severity == PolicyProblem::Severity::error;
      }));
}

std::string text_of(const ProgramReport& program) {
  std::string out = visible(program.path);
  if (!program.resolves_to.empty() && program.resolves_to != program.path)
    out += " is " + visible(program.resolves_to);
  for (std::size_t i = 0; i < program.links.size(); ++i)
    out += (i == 0 ? " (" : ", ") + visible(program.links[i]) +
           (i + 1 == program.links.size() ? ")" : "");
  for (std::size_t i = 0; i < program.matches.size(); ++i)
    out += (i == 0 ? " matches " : ", ") + visible(program.matches[i]);
  out += fmt::format("  [{}{}]\n", visible(program.first_entry),
                     program.entries > 1 ? fmt::format(" and {} more", program.entries - 1) : "");
  for (const std::string& warning : program.warnings)
    out += fmt::format("  warning: {}\n", visible(warning));
  return out;
}

using Json = rapidjson::Writer<rapidjson::StringBuffer, rapidjson::UTF8<>, rapidjson::ASCII<>>;

void add(Json& json, const char* key, std::string_view value) {
  json.Key(key);
  json.String(valid_utf8(value, kMaxReportText));
}

void add(Json& json, const char* key, const std::vector<std::string>& values) {
  json.Key(key);
  json.StartArray();
  for (const std::string& value : values) json.String(valid_utf8(value, kMaxReportText));
  json.EndArray();
}

void add(Json& json, const PolicyProblem& problem) {
  json.StartObject();
  add(json, "severity", name(problem.severity));
  add(json, "path", problem.path);
  add(json, "problem", problem.problem);
  json.Key("file");
  if (problem.file.empty())
    json.Null();
  else
    json.String(valid_utf8(problem.file, kMaxReportText));
  json.Key("line");
  if (problem.line == 0)
    json.Null();
  else
    json.Uint64(problem.line);
  json.EndObject();
}

void add(Json& json, const ProgramReport& program) {
  json.StartObject();
  add(json, "path", program.path);
  add(json, "first_entry", program.first_entry);
  json.Key("entries");
  json.Uint64(program.entries);
  json.Key("resolves_to");
  if (program.resolves_to.empty())
    json.Null();
  else
    json.String(valid_utf8(program.resolves_to, kMaxReportText));
  add(json, "links", program.links);
  add(json, "matches", program.matches);
  add(json, "warnings", program.warnings);
  json.EndObject();
}

Result<Writer> writer_of(const RootSpec& root) {
  if (root.user) return *root.user;
  auto process = process_with_root(root.directory);
  if (!process) return fail(std::move(process.error()));
  return *process ? std::move(**process) : anybody();
}

}  // namespace

Result<PolicyReport> check_policy(const PolicySource& source, const std::optional<RootSpec>& root) {
  auto evaluation = evaluate(source, Wanted::binaries);
  if (!evaluation) return fail(std::move(evaluation.error()));
  PolicyReport report;
  report.problems = std::move(evaluation->problems);
  locate(source.directory, report.problems);
  if (!root) return report;
  const auto directory = identity::open_directory(AT_FDCWD, root->directory);
  if (!directory)
    return fail(Errc::bad_config, fmt::format("--root: {}", describe(directory.error())));
  const auto writer = writer_of(*root);
  if (!writer) return fail(writer.error());
  report.note = writer->note;
  report.programs = look_at_programs(directory->get(), evaluation->binaries, *writer);
  return report;
}

bool has_errors(const PolicyReport& report) { return errors_in(report) > 0; }

std::string lines_of(const std::vector<PolicyProblem>& problems) {
  std::string out;
  for (const PolicyProblem& problem : problems) out += line_of(problem);
  return out;
}

std::string as_text(const PolicyReport& report) {
  std::string out = lines_of(report.problems);
  for (const ProgramReport& program : report.programs) out += text_of(program);
  if (!report.note.empty()) out += fmt::format("note: {}\n", visible(report.note));
  const std::size_t errors = errors_in(report);
  std::size_t warnings = report.problems.size() - errors;
  for (const ProgramReport& program : report.programs) warnings += program.warnings.size();
  return out + fmt::format("{} error{}, {} warning{}\n", errors, errors == 1 ? "" : "s", warnings,
                           warnings == 1 ? "" : "s");
}

std::string as_json(const PolicyReport& report) {
  rapidjson::StringBuffer buffer;
  Json json(buffer);
  json.StartObject();
  add(json, "result", has_errors(report) ? "error" : "ok");
  json.Key("problems");
  json.StartArray();
  for (const PolicyProblem& problem : report.problems) add(json, problem);
  json.EndArray();
  json.Key("programs");
  json.StartArray();
  for (const ProgramReport& program : report.programs) add(json, program);
  json.EndArray();
  json.Key("note");
  if (report.note.empty())
    json.Null();
  else
    json.String(valid_utf8(report.note, kMaxReportText));
  json.EndObject();
  return std::string(buffer.GetString(), buffer.GetSize()) + "\n";
}

}  // namespace warder::proxy
