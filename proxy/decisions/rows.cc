#include "proxy/decisions/rows.h"

#include <fmt/format.h>

#include "proxy/decisions/cells.h"
#include "proxy/decisions/instant.h"

namespace warder::decisions {
namespace {

constexpr std::size_t kCodeWidth = 20, kPolicyWidth = 16, kIdWidth = 36, kReasonWidth = 120;
constexpr std::size_t kMostCodes = 1024;
constexpr std::uint32_t kHasRecord = 1U << 31U;
constexpr std::uint32_t kReuse = 1U << 30U;

std::string time_of(const Event& event) {
  const auto time = event.time();
  return time ? show_instant(*time) : "-";
}

std::string_view or_dash(std::string_view text) { return text.empty() ? "-" : text; }

std::string_view http_path(const Event& event) {
  return event.text(event.kind == Event::Kind::record ? Field::path : Field::http_path);
}

std::string number_or_nothing(const Event& event, Field field) {
  const auto number = event.number(field);
  return number ? std::to_string(*number) : "";
}

}  // namespace

std::uint16_t Answers::code_number(std::string_view code) {
  const auto known = numbers_.find(code);
  if (known != numbers_.end()) return known->second;
  // docs/codes.md: nothing but these letters.
  const bool word =
      code.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string_view::npos;
  if (codes_.size() == kMostCodes || !word) code = "(another)";
  const auto [place, added] =
      numbers_.emplace(std::string(code), static_cast<std::uint16_t>(codes_.size()));
  if (added) codes_.emplace_back(code);
  return place->second;
}

bool Answers::add(const Event& record) {
  if (record.text(Field::event) != "decision") return true;
  std::string_view id = record.text(Field::decision_id);
  if (id.empty()) id = record.text(Field::request_id);
  if (id.empty()) return true;
  std::uint32_t* number = by_id_.add(id_of(id));
  if (number == nullptr) return false;
  const bool reuse = record.is_true(Field::reused);
  if (*number != 0 && ((*number & kReuse) == 0 || reuse)) return true;
  const std::uint64_t status = record.number(Field::status).value_or(0);
  *number = kHasRecord | (reuse ? kReuse : 0U) |
            static_cast<std::uint32_t>(code_number(record.text(Field::code))) << 16U |
            static_cast<std::uint32_t>(status & 0xFFFFU);
  return true;
}

Answer Answers::of(const Event& event) {
  const std::uint32_t* number = by_id_.find(id_of(event.text(Field::decision_id)));
  if (number == nullptr) number = by_id_.find(id_of(event.text(Field::request_id)));
  if (number == nullptr || *number == 0) return {};
  return {codes_[(*number & ~(kHasRecord | kReuse)) >> 16U],
          static_cast<std::uint16_t>(*number & 0xFFFFU)};
}

Rows::Rows(std::FILE* out, Form form, Answers* answers)
    : out_(out), form_(form), answers_(answers) {}

void Rows::put(const std::string& line) { std::fwrite(line.data(), 1, line.size(), out_); }

void Rows::heading() {
  if (form_ == Form::json) return;
  if (form_ == Form::csv) {
    return put(
        "time,outcome,code,status,binary,host,port,kind,http_method,http_path,policy,grade,"
        "assurance,identity_reason,pid,uid,container,sha256,revision,reason,decision_id,"
        "request_id,handler_ns,eval_ns\r\n");
  }
  std::string line = cell("TIME", kTimeWidth) + ' ' + cell("OUTCOME", kOutcomeWidth) + ' ';
  if (answers_ != nullptr) line += cell("CODE", kCodeWidth) + ' ';
  line += cell("BINARY", kBinaryWidth) + ' ' + cell("DESTINATION", kDestinationWidth) + ' ' +
          cell("POLICY", kPolicyWidth) + ' ' + cell("DECISION", kIdWidth) + " REASON\n";
  put(line);
}

void Rows::write(const Item& item) {
  const Answer answer = answers_ == nullptr ? Answer{} : answers_->of(item.event);
  switch (form_) {
    case Form::table: return write_table(item.event, answer);
    case Form::csv: return write_csv(item.event, answer);
    case Form::json: return write_json(item, answer);
  }
}

void Rows::write_table(const Event& event, const Answer& answer) {
  std::string line = cell(time_of(event), kTimeWidth) + ' ';
  line += cell(event.outcome(), kOutcomeWidth) + ' ';
  if (answers_ != nullptr) line += cell(or_dash(answer.code), kCodeWidth) + ' ';
  line += cell(or_dash(event.text(Field::binary)), kBinaryWidth, Keep::back) + ' ';
  line += cell(destination_of(event), kDestinationWidth, Keep::back) + ' ';
  line += cell(or_dash(event.text(Field::policy)), kPolicyWidth) + ' ';
  line += cell(or_dash(event.text(Field::decision_id)), kIdWidth) + ' ';
  line += cell(event.text(Field::reason), kReasonWidth);
  line.erase(line.find_last_not_of(' ') + 1);
  put(line + '\n');
}

void Rows::write_csv(const Event& event, const Answer& answer) {
  const auto time = event.time();
  std::string line = time ? show_instant(*time) : "";
  const auto add = [&](std::string_view text) { line.append(1, ',').append(csv_field(text)); };
  const auto add_text = [&](Field field) { add(event.text(field)); };
  // Digits only.
  const auto add_number = [&](const std::string& text) { line.append(1, ',').append(text); };
  add(event.outcome());
  add(answer.code);
  add_number(answer.status == 0 ? "" : std::to_string(answer.status));
  add_text(Field::binary);
  add_text(Field::host);
  add_number(number_or_nothing(event, Field::port));
  add_text(Field::kind);
  add_text(Field::http_method);
  add(http_path(event));
  for (const Field field :
       {Field::policy, Field::grade, Field::assurance, Field::identity_reason}) {
    add_text(field);
  }
  add_number(number_or_nothing(event, Field::pid));
  add_number(number_or_nothing(event, Field::uid));
  add(event.containers.empty() ? event.text(Field::container) : event.containers.front());
  add_text(Field::sha256);
  add(event.revision());
  for (const Field field : {Field::reason, Field::decision_id, Field::request_id}) add_text(field);
  add_number(number_or_nothing(event, Field::handler_ns));
  add_number(number_or_nothing(event, Field::eval_ns));
  put(line + "\r\n");
}

void Rows::write_json(const Item& item, const Answer& answer) {
  std::string line = ascii_json(item.text);
  if (!answer.code.empty()) {
    // The object's end; a line that was read as one has it.
    line.resize(line.rfind('}'));
    line += fmt::format(R"(,"warder":{{"code":"{}","status":{}}}}})", answer.code, answer.status);
  }
  put(line + '\n');
}

std::string destination_of(const Event& event) {
  const std::string_view host = event.text(Field::host);
  if (host.empty()) return "-";
  const auto port = event.number(Field::port);
  const bool brackets = host.find(':') != std::string_view::npos;
  return fmt::format("{}{}{}:{}", brackets ? "[" : "", host, brackets ? "]" : "",
                     port ? std::to_string(*port) : "?");
}

}  // namespace warder::decisions
