// Tested by: tests/chat/template_test.cpp
#include "chat/conditions.h"

#include <algorithm>

#include "chat/arguments.h"
#include "chat/operations.h"
#include "chat/printing.h"

namespace frugal::chat {
namespace {

using Function = absl::StatusOr<bool> (*)(Workspace&, const Value&, const Arguments&);

template <bool (*holds)(const Value&)>
absl::StatusOr<bool> plain(Workspace&, const Value& value, const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
  return holds(value);
}

bool is_defined(const Value& value) { return !value.is<Undefined>(); }
bool is_undefined(const Value& value) { return value.is<Undefined>(); }
bool is_none(const Value& value) { return value.is<None>(); }
bool is_boolean(const Value& value) { return value.is<bool>(); }
bool is_yes(const Value& value) { return value.is<bool>() && *value.as<bool>(); }
bool is_no(const Value& value) { return value.is<bool>() && !*value.as<bool>(); }
bool is_integer(const Value& value) { return value.is<int64_t>(); }
bool is_float(const Value& value) { return value.is<double>(); }
bool is_number(const Value& value) {
  return value.is<int64_t>() || value.is<double>() || value.is<bool>();
}
bool is_string(const Value& value) { return value.is<Text>(); }
bool is_mapping(const Value& value) { return value.is<const Dictionary*>(); }
bool is_escaped(const Value& value) { return value.is<Text>() && (*value.as<Text>())->safe; }
// What has a length and items by number or key; what is undefined has both, in its way.
bool is_sequence(const Value& value) {
  if (const auto* sequence = value.as<const Sequence*>())
    return (*sequence)->type <= Sequence::Type::kTuple ||
           (*sequence)->type == Sequence::Type::kRange;
  return value.is<Text>() || value.is<const Dictionary*>() || value.is<Undefined>();
}

template <bool lower_case>
absl::StatusOr<bool> in_case(Workspace& workspace, const Value& value, const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
  FRUGAL_ASSIGN_OR_RETURN(const std::string text, to_text(workspace, value));
  return is_in_case(text, lower_case);
}

absl::StatusOr<bool> remainder_is(Workspace& workspace, const Value& value, const Value& divisor,
                                  int64_t wanted) {
  if (value.is<Text>()) return base::invalid_argument("needs a number, found a text");
  FRUGAL_ASSIGN_OR_RETURN(const Value rest, arithmetic(workspace, "%", value, divisor));
  return is_equal(workspace, rest, Value(wanted));
}
template <int64_t wanted>
absl::StatusOr<bool> parity(Workspace& workspace, const Value& value, const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
  return remainder_is(workspace, value, Value(int64_t{2}), wanted);
}
absl::StatusOr<bool> divisible(Workspace& workspace, const Value& value,
                               const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"num"}, 1));
  return remainder_is(workspace, value, *bound[0], 0);
}

absl::StatusOr<bool> same(Workspace& workspace, const Value& value, const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"other"}, 1));
  const Value& other = *bound[0];
  const bool constants =
      (value.is<None>() || value.is<bool>()) || (other.is<None>() || other.is<bool>());
  if (!constants)
    return base::unimplemented("compares addresses of values other than true, false and none");
  if (type_name(value) != type_name(other)) return false;
  return is_equal(workspace, value, other);
}

absl::StatusOr<bool> within(Workspace& workspace, const Value& value, const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"seq"}, 1));
  return contains(workspace, *bound[0], value);
}

template <bool wanted>
absl::StatusOr<bool> equals(Workspace& workspace, const Value& value, const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"other"}, 1));
  FRUGAL_ASSIGN_OR_RETURN(const bool equal, is_equal(workspace, value, *bound[0]));
  return equal == wanted;
}

enum class Order { kLess, kLessOrEqual, kGreater, kGreaterOrEqual };
template <Order wanted>
absl::StatusOr<bool> ordered(Workspace& workspace, const Value& value, const Arguments& arguments) {
  constexpr std::string_view kOperators[] = {"<", "<=", ">", ">="};
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"other"}, 1));
  return is_ordered(workspace, kOperators[static_cast<int>(wanted)], value, *bound[0]);
}

template <Support (*support)(std::string_view)>
absl::StatusOr<bool> known(Workspace&, const Value& value, const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
  return value.is<Text>() && support(value.text()) != Support::kUnknown;
}

struct Test {
  std::string_view name;
  Function function;
};

constexpr Test kTests[] = {
    {"!=", equals<false>},
    {"<", ordered<Order::kLess>},
    {"<=", ordered<Order::kLessOrEqual>},
    {"==", equals<true>},
    {">", ordered<Order::kGreater>},
    {">=", ordered<Order::kGreaterOrEqual>},
    {"boolean", plain<is_boolean>},
    {"callable", plain<is_callable>},
    {"defined", plain<is_defined>},
    {"divisibleby", divisible},
    {"eq", equals<true>},
    {"equalto", equals<true>},
    {"escaped", plain<is_escaped>},
    {"even", parity<0>},
    {"false", plain<is_no>},
    {"filter", known<filter_support>},
    {"float", plain<is_float>},
    {"ge", ordered<Order::kGreaterOrEqual>},
    {"greaterthan", ordered<Order::kGreater>},
    {"gt", ordered<Order::kGreater>},
    {"in", within},
    {"integer", plain<is_integer>},
    {"iterable", plain<is_iterable>},
    {"le", ordered<Order::kLessOrEqual>},
    {"lessthan", ordered<Order::kLess>},
    {"lower", in_case<true>},
    {"lt", ordered<Order::kLess>},
    {"mapping", plain<is_mapping>},
    {"ne", equals<false>},
    {"none", plain<is_none>},
    {"number", plain<is_number>},
    {"odd", parity<1>},
    {"sameas", same},
    {"sequence", plain<is_sequence>},
    {"string", plain<is_string>},
    {"test", known<test_support>},
    {"true", plain<is_yes>},
    {"undefined", plain<is_undefined>},
    {"upper", in_case<false>},
};

const Test* find_test(std::string_view name) {
  const Test* found = std::find_if(std::begin(kTests), std::end(kTests),
                                   [&](const Test& test) { return test.name == name; });
  return found == std::end(kTests) ? nullptr : found;
}

}  // namespace

Support test_support(std::string_view name) {
  return find_test(name) != nullptr ? Support::kSupported : Support::kUnknown;
}

absl::StatusOr<bool> call_test(Workspace& workspace, std::string_view name, const Value& value,
                               const Arguments& arguments) {
  const Test* found = find_test(name);
  if (found == nullptr) return base::invalid_argument("there is no test '", name, "'");
  absl::StatusOr<bool> result = found->function(workspace, value, arguments);
  if (!result.ok()) return base::annotate(result.status(), base::str_cat("test '", name, "'"));
  return result;
}

}  // namespace frugal::chat
